/** Expressions and conditions over the columns at hand. Whatever they are, their value depends on the rows alone. */
import { mark } from './literal.ts'
import type { Dice } from './random.ts'
import type { ColumnSpec, Kind } from './schema.ts'
import { valueFor } from './schema.ts'

export type Ref = { readonly sql: string; readonly kind: Kind; readonly spec: ColumnSpec; readonly key: boolean }

export const isNumber = (ref: Ref): boolean => ['int', 'decimal', 'double', 'year'].includes(ref.kind)
export const isExact = (ref: Ref): boolean => ref.kind === 'int' || ref.kind === 'decimal'
export const isText = (ref: Ref): boolean => ref.kind === 'text'

/** JSON is compared by rules of its own, and equal documents may be spelt in several ways: selected, and asked for its parts. */
export const isPlain = (ref: Ref): boolean => ref.kind !== 'json'

/** A document, or what it says. */
export function ofDocument(ref: Ref, dice: Dice): string {
  return dice.pick([
    ref.sql,
    `JSON_TYPE(${ref.sql})`,
    `JSON_TYPE(JSON_EXTRACT(${ref.sql}, '$.a'))`,
    `JSON_EXTRACT(${ref.sql}, '$.b[1]')`,
    `JSON_LENGTH(${ref.sql})`,
    `JSON_UNQUOTE(JSON_EXTRACT(${ref.sql}, '$[1].a'))`,
  ])
}

export function refsWhere(refs: readonly Ref[], test: (ref: Ref) => boolean): Ref[] {
  return refs.filter(test)
}

/**
 * A number; `m` (UNSIGNED, near its limits) and `y` (a YEAR is unsigned, and ids grow past it) are left out of arithmetic: an overflow is an error, and whether a
 * row that another condition excludes meets it is the optimizer's choice: a server itself answers by the order of the conditions.
 */
export function number(refs: readonly Ref[], dice: Dice, depth = 2): string {
  const numbers = refs.filter((ref) => isNumber(ref) && !['m', 'y'].includes(ref.spec.name))
  const leaf = (): string => (numbers.length === 0 || dice.chance(0.2) ? mark(String(dice.below(12))) : dice.pick(numbers).sql)
  if (depth === 0 || dice.chance(0.35)) return leaf()
  switch (dice.below(9)) {
    case 0:
      return `(${number(refs, dice, depth - 1)} + ${leaf()})`
    case 1:
      return `(${number(refs, dice, depth - 1)} - ${leaf()})`
    case 2:
      return `(${leaf()} * ${mark(String(1 + dice.below(5)))})`
    case 3:
      return `ABS(${number(refs, dice, depth - 1)})`
    case 4:
      return `COALESCE(${leaf()}, ${mark(String(dice.below(5)))})`
    case 5:
      return `(${leaf()} % ${mark(String(2 + dice.below(4)))})`
    case 6:
      return `CASE WHEN ${comparison(refs, dice)} THEN ${leaf()} ELSE ${leaf()} END`
    case 7: {
      const text = refs.filter(isText)
      return text.length === 0 ? leaf() : `CHAR_LENGTH(${dice.pick(text).sql})`
    }
    default:
      return `IFNULL(${leaf()}, ${mark('0')})`
  }
}

export function text(refs: readonly Ref[], dice: Dice): string {
  const texts = refs.filter(isText)
  const any = refs.filter((ref) => ref.kind === 'int' || ref.kind === 'date' || ref.kind === 'text')
  if (texts.length === 0) return `CONCAT(${dice.pick(any).sql}, ${mark("'!'")})`
  const one = dice.pick(texts).sql
  switch (dice.below(5)) {
    case 0:
      return `UPPER(${one})`
    case 1:
      return `CONCAT(${one}, ${mark("'-'")}, ${dice.pick(any).sql})`
    case 2:
      return `COALESCE(${one}, ${mark("'none'")})`
    case 3:
      return `LEFT(${one}, ${mark('1')})`
    default:
      return `REPLACE(${one}, ${mark("'a'")}, ${mark("'o'")})`
  }
}

/** Anything for a select list. */
export function item(refs: readonly Ref[], dice: Dice): string {
  const at = dice.below(10)
  if (at < 6) return dice.pick(refs).sql
  if (at < 8) return number(refs, dice)
  if (at === 8) return text(refs, dice)
  return dice.chance(0.5) ? comparison(refs, dice) : mark(dice.pick(["'x'", '7', 'NULL', '1.50']))
}

/** A condition over one row. */
export function comparison(given: readonly Ref[], dice: Dice): string {
  const refs = given.filter(isPlain)
  const ref = dice.pick(refs)
  const literal = (): string => mark(valueFor({ ...ref.spec, nullable: false }, dice))
  const operator = dice.pick(['=', '<>', '<', '>', '<=', '>='])
  switch (dice.below(10)) {
    case 0:
      return `${ref.sql} IS ${dice.chance(0.5) ? 'NOT ' : ''}NULL`
    case 1:
      return `${ref.sql} BETWEEN ${literal()} AND ${literal()}`
    case 2:
      return `${ref.sql} ${dice.chance(0.25) ? 'NOT ' : ''}IN (${literal()}, ${literal()}, ${literal()})`
    case 3:
      if (isText(ref)) return `${ref.sql} LIKE ${mark(`'${dice.pick(['a%', '%b', '_', '%a%'])}'`)}`
      return `${ref.sql} ${operator} ${literal()}`
    case 4: {
      const same = refs.filter((other) => other.kind === ref.kind && other.spec.collation === ref.spec.collation)
      return `${ref.sql} ${operator} ${dice.pick(same).sql}`
    }
    case 5:
      return `NOT (${ref.sql} ${operator} ${literal()})`
    case 6:
      return `${ref.sql} <=> ${dice.chance(0.3) ? 'NULL' : literal()}`
    default:
      return `${ref.sql} ${operator} ${literal()}`
  }
}
