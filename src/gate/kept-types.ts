/**
 * MySQL goes on with the type that a parameter of a prepared statement had: text that comes after a number is taken for a number, after a time for a time, and integers after a
 * DOUBLE for DOUBLEs (8.0.22 and later; seen in `kept-types.db.test.ts`). Parts of one statement run on connections that never saw the executions before it, so here the value
 * is made what MySQL would make of it, and each shard sees that type alone. Of text that reads as no number, and of a number after a time, nobody knows here what one server would
 * make: it is refused. `1.5` after an integer stays a text: beside a number's column that is what a server takes it for; elsewhere it would say 1. Only of what reads: where a
 * value is stored, its column says the type. MariaDB takes each execution by itself.
 */
import { columnType } from '../wire/column-types.ts'
import type { Param, ParamType } from '../wire/stmt-execute.ts'
import { planErrors } from './plan/errors.ts'
import type { SessionStatement } from './prepared.ts'
import type { KeyspaceView } from './view.ts'

type Kind = 'integer' | 'decimal' | 'double' | 'time' | 'text'
type Kept = ParamType & { readonly kind: Kind }

/** By parameter, what it goes on as; undefined: no number and no time came yet. */
export type KeptTypes = (Kept | undefined)[]

function kindOf({ type, value }: Param): Kind {
  if (typeof value === 'bigint') return 'integer'
  if (typeof value === 'number') return 'double'
  if (typeof value === 'string') return 'time'
  return type === columnType.decimal || type === columnType.newdecimal ? 'decimal' : 'text'
}

/** Whether the types of executions before count: reads, on MySQL. */
export function goesOn({ passthrough }: SessionStatement, { shards }: KeyspaceView): boolean {
  return passthrough?.kind === 'relay' && passthrough.effect === 'read' && shards[0]?.server.flavour === 'mysql'
}

/**
 * The parameters as MySQL takes them; the same ones where nothing changes. Remembers the types in `kept`.
 *
 * @throws SW-GATE-100 text of which it is not known what the server would make
 */
export function asKept(params: Param[], kept: KeptTypes): Param[] {
  let out = params
  for (let i = 0; i < params.length; i++) {
    const param = params[i] as Param
    if (param.value === null) continue
    const before = kept[i]
    const now = before === undefined ? param : takenFor(param, before)
    const { type, unsigned } = now
    const kind = kindOf(now)
    if (kind !== 'text' && (type !== before?.type || unsigned !== before.unsigned)) kept[i] = { type, unsigned, kind }
    if (now === param) continue
    if (out === params) out = [...params]
    out[i] = now
  }
  return out
}

/** The same of a SET: there `1.5` after an integer is a DECIMAL, and goes on as one. */
export function asKeptBySet(params: Param[], kept: KeptTypes): Param[] {
  return asKept(params, kept).map((param, i) => {
    if (kept[i]?.kind !== 'integer' || param.value === null || kindOf(param) !== 'text') return param
    const decimal = { type: columnType.newdecimal, unsigned: false }
    kept[i] = { ...decimal, kind: 'decimal' }
    return { ...decimal, value: param.value }
  })
}

const integerText = /^\d{1,18}$/
const numberText = /^[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})$/
const instantText = /^\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d{1,6})?)?$/
const timeText: Readonly<Record<number, RegExp>> = {
  [columnType.time]: /^-?\d{2,3}:[0-5]\d:[0-5]\d(?:\.\d{1,6})?$/,
  [columnType.date]: /^\d{4}-\d\d-\d\d$/,
  [columnType.datetime]: instantText,
  [columnType.timestamp]: instantText,
}

function takenFor(param: Param, before: Kept): Param {
  const was = before.kind
  const is = kindOf(param)
  const { value } = param
  if ((is === 'integer' || is === 'decimal') && was === 'double') return { type: columnType.double, unsigned: false, value: Number(value) }
  if (is === 'integer' && was === 'decimal') return { type: before.type, unsigned: false, value: Buffer.from(String(value)) }
  if (is === 'time' || (is !== 'text' && was !== 'time')) return param
  const text = Buffer.isBuffer(value) ? value.toString('latin1') : String(value)
  if (is === 'text') {
    if (was === 'integer' && integerText.test(text)) return { type: columnType.longlong, unsigned: before.unsigned, value: BigInt(text) }
    if (was === 'integer' && numberText.test(text)) return param
    if (was === 'double' && numberText.test(text)) return { type: columnType.double, unsigned: false, value: Number(text) }
    if (was === 'decimal' && numberText.test(text)) return { type: before.type, unsigned: false, value }
    if (was === 'time' && timeText[before.type]?.test(text) === true) return { type: before.type, unsigned: false, value: text }
  }
  throw planErrors.refused({
    construct: `a prepared statement's parameter that was a ${was === 'time' ? 'time' : 'number'} and is the ${is === 'text' ? 'text' : 'number'} '${text.slice(0, 40)}' now`,
    reason: 'MySQL goes on with the type of the executions before, and takes this for one',
    instead: 'give it the same type each time, or prepare the statement anew',
  })
}
