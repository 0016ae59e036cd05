/**
 * MySQL goes on with the type that a parameter of a prepared statement had: text that comes after a number is taken for a number, after a time for a time, and integers after a
 * DOUBLE for DOUBLEs (8.0.22 and later; seen in `kept-types.db.test.ts`). An execution may run on a connection that never saw the ones before it, so here the value
 * is made what MySQL would make of it, and the server sees that type alone. Where nobody knows here what one server would make of it, it is refused. It depends on where the
 * parameter stands (parameter-places.ts): beside a text column a text that is no number is compared as one, in a column it is stored as bytes. `1.5` after an integer, where
 * rows are read, is refused: beside a number's column a server takes it for what it is, elsewhere for 1; so is `-5`, which it takes for a DECIMAL. MariaDB takes each execution by itself.
 */
import { columnType } from '../wire/column-types.ts'
import type { Param, ParamType } from '../wire/stmt-execute.ts'
import type { Place } from './parameter-places.ts'
import { planErrors } from './plan/errors.ts'

type Kind = 'none' | 'integer' | 'decimal' | 'double' | 'time' | 'text'

const kinds: Readonly<Record<number, Kind>> = {
  [columnType.null]: 'none',
  ...Object.fromEntries(
    (
      [
        ['integer', ['tiny', 'short', 'int24', 'long', 'longlong', 'year', 'bool']],
        ['double', ['float', 'double']],
        ['decimal', ['decimal', 'newdecimal']],
        ['time', ['date', 'newdate', 'time', 'time2', 'datetime', 'datetime2', 'timestamp', 'timestamp2']],
      ] as const
    ).flatMap(([kind, names]) => names.map((name) => [columnType[name], kind])),
  ),
}

function kindOf(type: number | undefined): Kind {
  return kinds[type ?? columnType.null] ?? 'text'
}

/** By parameter, type and flags (0x80 unsigned) that a statement's next executions go on with; NULL's type: none came yet. */
export type KeptTypes = Buffer

export function noTypes(count: number): KeptTypes {
  const kept = Buffer.alloc(2 * count)
  for (let i = 0; i < count; i++) kept[2 * i] = columnType.null
  return kept
}

/**
 * What an execution leaves, in `kept`. A NULL has no type to MySQL, whatever it is sent as.
 *
 * @returns whether that is other than before, and whether a value comes with another type than it is taken for
 */
export function goOn(kept: KeptTypes, types: Buffer, nullBitmap: Buffer): { changed: boolean; mixed: boolean } {
  let [changed, mixed] = [false, false]
  for (let i = 0; i < kept.length; i += 2) {
    const [type, flags] = [types[i] as number, types[i + 1] as number]
    if ((type === kept[i] && flags === kept[i + 1]) || ((nullBitmap[i >> 4] ?? 0) & (1 << ((i >> 1) & 7))) !== 0) continue
    if (takesOver(type, kept[i] as number)) {
      kept[i] = type
      kept[i + 1] = flags
      changed = true
    } else mixed = true
  }
  return { changed, mixed }
}

function takesOver(type: number, was: number): boolean {
  const [now, before] = [kindOf(type), kindOf(was)]
  switch (now) {
    case 'none':
      return false
    case 'text':
      return before === 'none' || before === 'text'
    case 'integer':
      return before !== 'decimal' && before !== 'double' && before !== 'time'
    case 'decimal':
      return before !== 'double' && before !== 'time'
    case 'double':
      return before !== 'time'
    // Of an instant after a TIME nothing is sure but where it is stored.
    case 'time':
      return was !== columnType.time
  }
}

/**
 * The parameters as MySQL takes them; the same ones where nothing changes.
 *
 * @param kept what their own execution left (`goOn`); what their values leave is put in
 * @param placeOf of a parameter by its number
 * @throws SW-GATE-100 a value of which it is not known what the server would make
 */
export function asKept(params: Param[], kept: KeptTypes, placeOf: (index: number) => Place): Param[] {
  let out = params
  for (let i = 0; i < params.length; i++) {
    const param = params[i] as Param
    const type = kept[2 * i] as number
    const same = kindOf(type) === kindOf(param.type) && type !== columnType.time
    if (param.value === null || param.type === type || same) continue
    const now = takenFor(param, { type, unsigned: ((kept[2 * i + 1] as number) & 0x80) !== 0 }, placeOf(i))
    // A fraction in a text, too, is gone on with.
    if (kindOf(type) === 'integer' && kindOf(now.type) !== 'integer' && doubleText.test(textOf(param))) {
      kept[2 * i] = /e/i.test(textOf(param)) ? columnType.double : columnType.newdecimal
      kept[2 * i + 1] = 0
    }
    if (now === param) continue
    if (out === params) out = [...params]
    out[i] = now
  }
  return out
}

/** The same of a SET: there `1.5` after an integer is a DECIMAL, and goes on as one. */
export function asKeptBySet(params: Param[], kept: KeptTypes): Param[] {
  return asKept(params, kept, () => 'set').map((param, i) => {
    if (kindOf(kept[2 * i]) !== 'decimal' || param.value === null || kindOf(param.type) !== 'text') return param
    return { type: columnType.newdecimal, unsigned: false, value: param.value }
  })
}

const integerText = /^\d{1,18}$/
const numberText = /^[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})$/
/** As it would be shown: taken for a number it is the same text. */
const plainNumber = /^-?(?:0|[1-9]\d{0,29})(?:\.\d{1,30})?$/
const plainInteger = /^[1-9]\d{0,17}$/
const doubleText = /^[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:e[+-]?\d{1,3})?$/i
const dateText = /^\d{4}-\d\d-\d\d$/
const instantText = /^\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d{1,6})?)?$/
const timeText: Readonly<Record<number, RegExp>> = {
  [columnType.time]: /^-?\d{2,3}:[0-5]\d:[0-5]\d(?:\.\d{1,6})?$/,
  [columnType.date]: dateText,
  [columnType.datetime]: instantText,
  [columnType.timestamp]: instantText,
}

function takenFor(param: Param, before: ParamType, place: Place): Param {
  if (place === 'own') return param
  const taken =
    place === 'read'
      ? whereRead(param, before)
      : place === 'set'
        ? whereSet(param, before)
        : place === 'stored'
          ? whereStored(param, before)
          : whereComputed(param, before)
  if (taken !== null) return taken
  const time = kindOf(before.type) === 'time'
  const text = kindOf(param.type) === 'text'
  throw planErrors.refused({
    construct: `a prepared statement's parameter that was a ${time ? 'time' : 'number'} and is the ${text ? 'text' : 'number'} '${textOf(param).slice(0, 40)}' now`,
    reason: 'MySQL goes on with the type of the executions before, and takes this for one',
    instead: 'give it the same type each time, or prepare the statement anew',
  })
}

function textOf({ value }: Param): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : String(value)
}

function whereRead(param: Param, before: ParamType): Param | null {
  const [was, is, text] = [kindOf(before.type), kindOf(param.type), textOf(param)]
  if (is === 'integer' && was === 'double' && !Number.isSafeInteger(Number(text))) return null
  if ((is === 'integer' || is === 'decimal') && was === 'double') return doubleOf(text)
  if (is === 'integer' && was === 'decimal') return decimalOf(text)
  if (is !== 'text') return was === 'time' ? null : param
  if (was === 'integer' && integerText.test(text)) return { type: columnType.longlong, unsigned: before.unsigned, value: BigInt(text) }
  if (was === 'double' && numberText.test(text)) return doubleOf(text)
  if (was === 'decimal' && numberText.test(text)) return decimalOf(text)
  if (was === 'time' && timeText[before.type]?.test(text) === true)
    return { type: dateText.test(text) ? columnType.date : before.type, unsigned: false, value: text }
  return was === 'none' || was === 'text' ? param : null
}

/** Of a SET, `1.5` after an integer becomes a DECIMAL. */
function whereSet(param: Param, before: ParamType): Param | null {
  const fraction = kindOf(before.type) === 'integer' && kindOf(param.type) === 'text' && numberText.test(textOf(param))
  return whereRead(param, before) ?? (fraction ? param : null)
}

/** By itself it is what a column becomes. *Tried* with columns of every kind. */
function whereStored(param: Param, before: ParamType): Param | null {
  const [was, is, text] = [kindOf(before.type), kindOf(param.type), textOf(param)]
  if (was === 'none' || was === 'text') return param
  if (was === 'time') {
    if (is === 'time') return param
    if (is !== 'text') return before.type === columnType.time || (param.unsigned && text.length > 18) ? null : param
    if (!/\d/.test(text)) return param
    if (dateText.test(text)) return before.type === columnType.date ? { type: columnType.date, unsigned: false, value: text } : null
    return instantText.test(text) ? { type: columnType.datetime, unsigned: false, value: text } : null
  }
  if (is !== 'text') return param
  const number = text.replace(/^ +| +$/g, '')
  if (doubleText.test(number)) {
    const value = Number(number)
    // Of decimals there is no negative zero.
    if (Object.is(value, -0)) return null
    if (was === 'double' || !numberText.test(number)) return Number.isFinite(value) ? doubleOf(number) : null
    return decimalOf(number)
  }
  // What is longer, or has other spaces around it, may be a number to the server.
  if (/^[\s+-]*\.?\d[\d.]*(?:e[+-]?\d+)?\s*$/i.test(text)) return null
  return { type: columnType.blob, unsigned: false, value: Buffer.isBuffer(param.value) ? param.value : Buffer.from(text) }
}

function whereComputed(param: Param, before: ParamType): Param | null {
  const [was, is, text] = [kindOf(before.type), kindOf(param.type), textOf(param)]
  if (is === 'decimal' && was === 'double') return String(Number(text)) === text ? doubleOf(text) : null
  if (was === 'time' && before.type !== columnType.date && dateText.test(text)) return null
  // Beside a DATETIME 0 is none, as a text alone.
  if (is === 'text' && Number(text) === 0) return null
  if (is === 'text' && was === 'integer' && plainInteger.test(text))
    return { type: columnType.longlong, unsigned: false, value: BigInt(text) }
  if (is === 'text' && (was === 'integer' || was === 'decimal')) return plainNumber.test(text) ? decimalOf(text) : null
  if (is === 'text' && was === 'double') return String(Number(text)) === text && plainNumber.test(text) ? doubleOf(text) : null
  return whereRead(param, before)
}

function doubleOf(text: string): Param {
  return { type: columnType.double, unsigned: false, value: Number(text) }
}

function decimalOf(text: string): Param {
  return { type: columnType.newdecimal, unsigned: false, value: Buffer.from(text) }
}
