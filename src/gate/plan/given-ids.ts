/** Of an INSERT's rows: whether the client gave an id where one could be drawn, and which. */
import type { Value } from '../../sql/value.ts'
import { planErrors } from './errors.ts'
import type { InsertRow, RouteInputs } from './plan.ts'
import { slotValue } from './render.ts'

/** NULL, DEFAULT, nothing at all, and what a server would store as 0 mean an id of the sequence, as they do for AUTO_INCREMENT. */
export function drawsId<S>(row: InsertRow, inputs: RouteInputs<S>): boolean {
  const slot = row.sequenceSlot
  if (slot === null || slot.kind === 'null' || slot.kind === 'default') return true
  const value = slotValue(slot, inputs)
  return value.type === 'null' || (inputs.zeroIsStored !== true && isZero(value))
}

/** What the client gave where an id could be drawn, if it is an integer at a glance. */
export function givenId<S>({ sequenceSlot }: InsertRow, inputs: RouteInputs<S>): bigint | null {
  if (sequenceSlot === null || sequenceSlot.kind === 'null' || sequenceSlot.kind === 'default') return null
  const value = slotValue(sequenceSlot, inputs)
  return value.type === 'integer' ? BigInt.asUintN(64, value.value) : null
}

/** Fractions are rounded. What is no number through and through is the server's to refuse, or to take for a 0: refused here. */
function isZero(value: Exclude<Value, { type: 'null' }>): boolean {
  switch (value.type) {
    case 'integer':
      return value.value === 0n
    case 'double':
      return Math.abs(value.value) < 0.5
    case 'kept':
      return value.shown.type !== 'null' && isZero(value.shown)
    case 'decimal':
      return Math.abs(Number(value.text)) < 0.5
    case 'text':
    case 'binary': {
      const text = value.bytes.toString('latin1').trim()
      if (text !== '' && Number.isFinite(Number(text)) && !/^0[xob]/i.test(text)) return Math.abs(Number(text)) < 0.5
      throw planErrors.refused({
        construct: `${JSON.stringify(text.slice(0, 40))} for a column of drawn ids`,
        reason: 'whether a server would store a 0 for it depends on its sql_mode',
        instead: 'give a number, or NULL to have one drawn',
      })
    }
  }
}
