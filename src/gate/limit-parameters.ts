/**
 * How many rows a parameter of LIMIT or OFFSET stands for, as its server takes it (*tried*: MariaDB 10.11, MySQL 9.7; `limit-parameters.db.test.ts`). Both take a NULL for 0,
 * and text for the number that it begins with, where MariaDB warns of what follows: that is refused here. A negative number is what its bits are, a great one, but to MySQL as an integer an error.
 * MySQL takes integers and text alone; MariaDB numbers of all kinds, rounded.
 */
import { ServerError } from '../mysql/errors.ts'
import { columnType } from '../wire/column-types.ts'
import type { Param } from '../wire/stmt-execute.ts'
import { planErrors } from './plan/errors.ts'

const of = (...names: readonly (keyof typeof columnType)[]): ReadonlySet<number> => new Set(names.map((name) => columnType[name]))
const integers = of('tiny', 'short', 'long', 'longlong')
const texts = of('varchar', 'varString', 'string', 'tinyBlob', 'mediumBlob', 'longBlob', 'blob')

const countMax = (1n << 64n) - 1n
const signedMax = (1n << 63n) - 1n

/** @throws 1210, 1690: a server's own; SW-GATE-131: what is not known here */
export function rowCountOf(param: Param, isMariadb: boolean): bigint {
  if (param.value === null) return 0n
  return isMariadb ? byMariadb(param) : byMysql(param)
}

function byMysql({ type, unsigned, value }: Param): bigint {
  if (typeof value === 'bigint' && integers.has(type)) {
    if (value < 0n && !unsigned) throw new ServerError(1690, '22003', `SIGNED INTEGER value is out of range in '${executed}'`)
    return value
  }
  if (!texts.has(type) && type !== columnType.json) throw wrongArgument()
  const [, sign, digits] = /^[ \t]*([+-]?)(\d+)/.exec(String(value)) ?? []
  return digits === undefined ? 0n : ofBits(sign === '-' ? -atMost(digits, signedMax + 1n) : atMost(digits, countMax))
}

function byMariadb(param: Param): bigint {
  const { type, value } = param
  if (type === columnType.json) throw wrongArgument()
  if (typeof value === 'bigint' && integers.has(type)) return ofBits(value)
  if (typeof value === 'number') return value < -9e18 || value > 9e18 ? countMax : ofBits(BigInt(toEven(value)))
  if (!Buffer.isBuffer(value)) throw unknown(param)
  const text = value.toString('latin1')
  if (type === columnType.decimal || type === columnType.newdecimal) {
    const [, sign, whole = '', fraction = ''] = /^(-?)(\d{1,18})(?:\.(\d{0,38}))?$/.exec(text) ?? []
    if (whole === '') throw unknown(param)
    const rounded = BigInt(whole) + (fraction >= '5' ? 1n : 0n)
    return ofBits(sign === '-' ? -rounded : rounded)
  }
  const [, number] = /^[ \t\n]*\+?(-?\d{1,18})$/.exec(text) ?? []
  if (number === undefined || /\+-/.test(text) || !(texts.has(type) || type === columnType.enum)) throw unknown(param)
  return ofBits(BigInt(number))
}

const executed = 'mysqld_stmt_execute'

function wrongArgument(): Error {
  return new ServerError(1210, 'HY000', `Incorrect arguments to ${executed}`)
}

function unknown({ value }: Param): Error {
  return planErrors.badLimit({ value: Buffer.isBuffer(value) ? `'${value.toString('utf8', 0, shownBytes)}'` : String(value) })
}
const shownBytes = 40

/** Two's complement. */
function ofBits(value: bigint): bigint {
  return BigInt.asUintN(64, value)
}

function atMost(digits: string, most: bigint): bigint {
  const value = digits.length > digitsMax ? BigInt(digits.replace(/^0+/, '').slice(0, digitsMax) || 0) : BigInt(digits)
  return value < most ? value : most
}
/** More than any number of 64 bits has. */
const digitsMax = 21

/** As a processor rounds: a half to the even one of the two. */
function toEven(value: number): number {
  const low = Math.floor(value)
  const over = value - low
  if (over !== 0.5) return Math.round(value)
  return low % 2 === 0 ? low : low + 1
}
