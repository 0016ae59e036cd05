/**
 * The warnings of a statement that ran on several shards, as one server would give them: those of rows are added up; what is said of the
 * statement's text (a deprecated function) every shard says, and one server once: when a prepared statement is prepared, not when it is executed.
 */
import type { Connection, Result } from '../mysql/connection.ts'

export type Warning = readonly [level: string | null, code: string | null, message: string | null]

/** What a statement was warned of, or refused by: all of that is counted, and `max_error_count` of it are listed. `errors`: how many of all are errors. */
export type Said = { readonly count: number; readonly errors: number; readonly list: readonly Warning[] }
export const nothingSaid: Said = { count: 0, errors: 0, list: [] }

export function saidOf(list: readonly Warning[], count = list.length): Said {
  return { count, errors: list.filter(([level]) => level === 'Error').length, list }
}

/** What a statement of ours was warned of in the client's, and how much a server lists at most. */
export type Stored = Said & { readonly listedMax: number }
export const nothingStored: Stored = { ...nothingSaid, listedMax: Infinity }

/** ER_INVALID_CHARACTER_STRING: of a literal while the text is read, or of a row's value. */
const invalidText = '1300'

/** ER_WARN_DEPRECATED_SYNTAX and its kin. */
const aboutText = new Set(['1287', '1681', '3719', '3720', '3778'])

/** ER_NO_DEFAULT_FOR_FIELD and, on MySQL, ER_BAD_NULL_ERROR: of a column an INSERT says it once, however many rows there are; an UPDATE of each (*tried*: MariaDB 10.11, MySQL 9.7). */
export const saidOnce = { mariadb: new Set(['1364']), mysql: new Set(['1364', '1048']) } as const

export async function warningsOf(connection: Connection): Promise<Warning[]> {
  const result = await connection.query('SHOW WARNINGS')
  if (result.kind !== 'rows') return []
  const { told } = connection
  return result.rows.map(([level, code, message]) => {
    const text = message == null || told === null ? message : (told(Number(code), message) ?? message)
    return [level?.toString() ?? null, code?.toString() ?? null, text?.toString() ?? null]
  })
}

/**
 * What the connection's last statement was warned of or refused by. On MySQL the connection does not list it any more afterwards.
 *
 * @param told how many warnings its answer told of; null: that is not known, as of an error
 */
export async function saidOn(connection: Connection, told: number | null): Promise<Said> {
  const list = await warningsOf(connection)
  if (told === list.length) return saidOf(list)
  const counts = await connection.query('SELECT @@warning_count, @@error_count')
  const [count, errors] = counts.kind === 'rows' ? (counts.rows[0] ?? []).map(Number) : []
  return { count: count ?? list.length, errors: errors ?? 0, list }
}

/** How many warnings a server lists of one statement: what several list together may be more. */
async function listedMax(connection: Connection): Promise<number> {
  return Number(await connection.value('SELECT @@max_error_count'))
}

/** What each shard lists that was warned of something. */
export class Listed {
  readonly lists: Warning[][] = []
  readonly #once: ReadonlySet<string>
  #max = Infinity

  /** @param once codes of what is said of a column, whatever the rows */
  constructor(once: ReadonlySet<string> = new Set()) {
    this.#once = once
  }

  /** While the connection has them still. */
  async add(connection: Connection): Promise<readonly Warning[]> {
    const list = await warningsOf(connection)
    this.lists.push(list)
    if (this.lists.length === 2) this.#max = await listedMax(connection)
    return list
  }

  /** As one server counts and lists it. (`mergedWarnings`) */
  merged(count: number, form: 'text' | 'binary', read: number | null, compared?: ReadonlyMap<string, number>): Said {
    const { count: all, list } = mergedWarnings(count, this.lists, form, read, compared, this.#once)
    return saidOf(list.slice(0, this.#max), all)
  }
}

/** While the connection has them still. */
export async function storedOf(connection: Connection, { warnings }: Result): Promise<Stored> {
  if (warnings === 0) return nothingStored
  return { ...saidOf(await warningsOf(connection), warnings), listedMax: await listedMax(connection) }
}

/** Of a value that is no number, or no time: 'a' of a comparison, or a row's. */
const converted = new Set(['1292', '1918'])
const valueIn = /\bvalue:? '(.*)'(?: when |$)/s

/**
 * What each shard says of a constant that it converted for itself. More often than it stands in the text: it was converted for each row.
 *
 * @returns how many of such a warning are too many
 */
function surplus(listed: readonly (readonly Warning[])[], compared: ReadonlyMap<string, number>): Map<string, number> {
  const most = new Map<string, { told: number; most: number; constants: number }>()
  for (const one of listed) {
    const counts = new Map<string, number>()
    for (const [, code, message] of one) {
      const constants = converted.has(code ?? '') ? compared.get(valueIn.exec(message ?? '')?.[1] ?? '') : undefined
      if (constants === undefined) continue
      const name = `${code} ${message}`
      counts.set(name, (counts.get(name) ?? 0) + 1)
      const count = counts.get(name) ?? 0
      const known = most.get(name) ?? { told: 0, most: 0, constants }
      most.set(name, { ...known, told: known.told + 1, most: Math.max(known.most, count) })
    }
  }
  return new Map([...most].flatMap(([name, found]) => (found.most <= found.constants ? [[name, found.told - found.most]] : [])))
}

/**
 * @param count as the servers' answers said; they list no more than max_error_count
 * @param listed of each shard that said something
 * @param read how many shards got the same text; null: each got rows of its own
 * @param compared constants that servers convert once, and how often each stands in the text
 * @param once codes of what is said of a column, whatever the rows
 */
export function mergedWarnings(
  count: number,
  listed: readonly (readonly Warning[])[],
  form: 'text' | 'binary',
  read: number | null = null,
  compared: ReadonlyMap<string, number> = new Map(),
  once: ReadonlySet<string> = new Set(),
): { count: number; list: Warning[] } {
  if (listed.length === 0) return { count, list: [] }
  const invalid = (one: readonly Warning[]): string => JSON.stringify(one.filter(([, code]) => code === invalidText))
  // Literals are alike everywhere; rows hardly are.
  const inLiterals = form === 'text' && listed.length === read && listed.every((one) => invalid(one) === invalid(listed[0] ?? []))
  const isAboutText = ([, code]: Warning): boolean => aboutText.has(code ?? '') || (inLiterals && code === invalidText)
  // As often as the text has it (VALUES() twice): one shard says all of that.
  const teller = form === 'text' ? listed.find((one) => one.some(isAboutText)) : undefined
  const tooMany = surplus(listed, compared)
  const columns = new Set<string>()
  const list = listed
    .flatMap((one) => (one === teller ? one : one.filter((warning) => !isAboutText(warning))))
    .filter(([, code, message]) => {
      if (once.has(code ?? '')) return columns.size < columns.add(`${code} ${message}`).size
      const left = tooMany.get(`${code} ${message}`) ?? 0
      if (left > 0) tooMany.set(`${code} ${message}`, left - 1)
      return left === 0
    })
  return { count: count - listed.flat().length + list.length, list }
}
