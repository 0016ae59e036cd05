/**
 * DDL on moved tables (PROTOCOLS 1.13; the table of outcomes is docs/ddl.md). Pure.
 *
 * `stop` stops at every one. `ignore` and `exec` go on only where going on can be right: a table that is gone leaves nothing to move, so DROP and RENAME stop
 * in every mode; a TRUNCATE removes rows that no event names, so it is executed where this stream alone fills the target, and stops elsewhere. Rows that come by no event
 * (EXCHANGE PARTITION, a tablespace imported, CREATE OR REPLACE) stop too, and so do values that each server makes up for itself. So does what `create` refuses because no binlog would tell
 * of it: a cascade where a server of the stream does not log them (each side is followed at some time), another engine, a history of rows (`unfollowed.ts`).
 *
 * Where several sources fill a target, one stream comes to a statement while the others still write rows of before it. Their statements name columns and write ENUMs by index, so only
 * what leaves every column as it is, columns added and keys, may be executed there ahead of them; the rest stops. It is executed once, so a column that is filled by the clock stops too: the
 * sources came to it at times of their own, and no event tells of what it filled.
 */
import { isSwError } from '../base/errors.ts'
import { clientText, unreadable } from '../binlog/client-text.ts'
import type { QueryEvent } from '../binlog/source.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { Kind, Lexer, tokenEnd, tokenStart, type Lexed, type LexerMode } from '../sql/lexer.ts'
import { spanText, splice, type Edit } from '../sql/splice.ts'
import { hiddenActions } from './unfollowed.ts'

export type DdlMode = 'stop' | 'ignore' | 'exec'
export type DdlOutcome = { readonly kind: 'ignore' | 'exec' } | { readonly kind: 'stop'; readonly reason: string }

/** @param logsCascades whether every server of the stream does, targets too */
export function ddlOutcome(mode: DdlMode, event: QueryEvent, severalSources: boolean, logsCascades: boolean): DdlOutcome {
  if (mode === 'stop') return stop('--on-ddl stop')
  const verb = event.statement.verb.toUpperCase()
  const object = event.statement.kind === 'ddl' ? event.statement.object.toUpperCase() : ''
  const words = ddlWords(event)
  if (words === null) return stop('its text can not be read with certainty')
  const cascade = logsCascades ? undefined : cascading.find((phrase) => follows(words, ...phrase))
  if (cascade !== undefined) return stop(`${cascade.join(' ')} changes rows that a server of this stream does not log`)
  const engine = otherEngine(event, words)
  if (engine !== null) return stop(`rows kept by ${engine} are in no transaction with the position that they belong to`)
  if (follows(words, 'ADD', 'SYSTEM', 'VERSIONING')) return stop('rows would have a history, which is not moved')
  if (follows(words, 'WITHOUT', 'OVERLAPS')) return stop('rows of a table with such a key can not be written by REPLACE')
  if (verb === 'DROP' && object !== 'INDEX') return stop('the table is gone, there is nothing left to move')
  if (verb === 'RENAME' || (verb === 'ALTER' && renamesTable(words)))
    return stop('the table has another name now, which the workflow does not know')
  if (verb === 'CREATE' && object === 'TABLE' && follows(words, 'OR', 'REPLACE'))
    return stop('the table was made anew, and its rows came by no event')
  if (verb === 'ALTER' && object === 'TABLE') {
    const hidden = hiddenRows.find((phrase) => follows(words, ...phrase))
    if (hidden !== undefined) return stop(`${hidden.join(' ')} brings or takes rows that no event names`)
    if (words[1] === 'IGNORE') return stop('ALTER IGNORE removes rows, and not the same ones on each server')
  }
  const removesRows = verb === 'TRUNCATE' || (verb === 'ALTER' && ['DROP', 'TRUNCATE'].some((word) => follows(words, word, 'PARTITION')))
  const what = verb === 'TRUNCATE' ? 'TRUNCATE' : 'it'
  if (removesRows && mode === 'ignore') return stop(`${what} removes rows that no event names: they would stay on the targets`)
  if (removesRows && severalSources)
    return stop(`${what} removes rows that no event names, and on a target that several sources fill would remove the rows of the others`)
  if (mode === 'exec') {
    const made = unrepeatable(words)
    if (made !== null) return stop(`each server makes up its own values by ${made}`)
    if (severalSources && verb === 'ALTER' && object === 'TABLE' && !leavesColumns(words))
      return stop('streams of other sources still write rows as they were before it')
    const clock = severalSources ? clockOf(words) : null
    if (clock !== null)
      return stop(
        `each source filled its rows by its own clock (${clock}), and the target, which takes rows of several, would fill all by one`,
      )
  }
  return { kind: mode }
}

function stop(reason: string): DdlOutcome {
  return { kind: 'stop', reason }
}

/** Rows that come or go as a whole. */
const hiddenRows: readonly (readonly string[])[] = [
  ['EXCHANGE', 'PARTITION'],
  ['CONVERT', 'PARTITION'],
  ['CONVERT', 'TABLE'],
  ['IMPORT', 'TABLESPACE'],
  ['IMPORT', 'PARTITION'],
  ['DISCARD', 'TABLESPACE'],
  ['DISCARD', 'PARTITION'],
]

const cascading: readonly (readonly string[])[] = ['DELETE', 'UPDATE'].flatMap((on) =>
  hiddenActions.map((action) => ['ON', on, ...action.split(' ')]),
)

/** Named without a sign between, where any other word behind ENGINE is a column's type. */
const otherEngines = new Set([
  'MYISAM', 'ARIA', 'MEMORY', 'HEAP', 'CSV', 'ARCHIVE', 'BLACKHOLE', 'FEDERATED', 'MERGE', 'MRG_MYISAM', 'NDB', 'NDBCLUSTER', 'ROCKSDB', 'MROONGA', 'SPIDER', 'CONNECT', 'COLUMNSTORE', 'TOKUDB', 'S3',
  'SEQUENCE', 'OQGRAPH', 'SPHINX', 'EXAMPLE',
]) // prettier-ignore

/** An engine other than InnoDB that a statement names. A column may be called so: within parentheses only a partition's option counts. */
function otherEngine(event: QueryEvent, words: readonly string[]): string | null {
  const quoted = readWords(event)?.names ?? []
  /** Of each parenthesis that is open: whether it holds partitions. */
  const open: boolean[] = []
  for (const [i, word] of words.entries()) {
    if (word === '(') open.push(/^(SUB)?PARTITION$/.test(words[i + 1] ?? ''))
    else if (word === ')') open.pop()
    if (word !== 'ENGINE' || open.includes(false)) continue
    const at = words[i + 1] === '=' ? i + 2 : i + 1
    if (at === i + 1 && beforeNames.has(words[i - 1] ?? '') && words[i - 1] !== ',') continue
    // Outside of parentheses an option stands behind a comma, and no column. Quotes are allowed around it; their text stands beside the words.
    const name = (words[at] === '?' ? (quoted[at] ?? '') : (words[at] ?? '')).toUpperCase()
    if (at === i + 2 ? name !== 'INNODB' : otherEngines.has(name)) return name
  }
  return null
}

const ownValues = new Set([
  'RAND', 'UUID', 'UUID_SHORT', 'UUID_V4', 'UUID_V7', 'SYS_GUID', 'SYSDATE', 'CONNECTION_ID', 'USER', 'CURRENT_USER', 'SESSION_USER', 'SYSTEM_USER', 'CURRENT_ROLE',
  'LAST_INSERT_ID', 'NEXTVAL', 'LASTVAL', 'SETVAL', 'RANDOM_BYTES', 'VERSION', 'DATABASE', 'SCHEMA', 'FOUND_ROWS', 'ROW_COUNT',
]) // prettier-ignore

/** Behind these stands a column's name, where its type would stand behind the name. */
const beforeNames = new Set(['ADD', 'COLUMN', 'EXISTS', 'CHANGE', 'MODIFY', 'ALTER', 'DROP', 'AFTER', 'TO', '.', '(', ','])

/** A function whose value is the server's or session's own, or a column that numbers the rows that are there; null: none. */
function unrepeatable(words: readonly string[]): string | null {
  const called = words.find((word, i) => ownValues.has(word) && (word === 'CURRENT_USER' || word === 'CURRENT_ROLE' || isCalled(words, i)))
  if (called !== undefined) return `${called}()`
  if (follows(words, 'NEXT', 'VALUE', 'FOR')) return 'NEXT VALUE FOR'
  // BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE; behind a type, what follows that.
  if (words.some((word, i) => word === 'SERIAL' && !beforeNames.has(words[i - 1] ?? ''))) return 'SERIAL'
  // As an option of the table a number follows it.
  const numbers = words.some((word, i) => word === 'AUTO_INCREMENT' && words[i + 1] !== '=' && !/^\d/.test(words[i + 1] ?? ''))
  return numbers ? 'AUTO_INCREMENT' : null
}

/** An index or a table may be named so. */
function isCalled(words: readonly string[], at: number): boolean {
  const isName = ['INDEX', 'KEY', 'UNIQUE', 'FULLTEXT', 'SPATIAL', 'REFERENCES', 'CONSTRAINT', '.'].includes(words[at - 1] ?? '')
  return !isName && words[at + 1] === '('
}

const clocks = new Set([
  'CURRENT_TIMESTAMP',
  'LOCALTIME',
  'LOCALTIMESTAMP',
  'CURRENT_DATE',
  'CURRENT_TIME',
  'UTC_DATE',
  'UTC_TIME',
  'UTC_TIMESTAMP',
])
const clocksCalled = new Set(['NOW', 'CURDATE', 'CURTIME', 'UNIX_TIMESTAMP'])

/** What fills the rows that are there with the time at which it is executed; null: nothing. ON UPDATE fills none: rows are written with the values that their source has. */
function clockOf(words: readonly string[]): string | null {
  const told = words.find((word, i) => {
    const isOnUpdate = words[i - 2] === 'ON' && words[i - 1] === 'UPDATE'
    const ofItsArgument = word === 'UNIX_TIMESTAMP' && words[i + 2] !== ')'
    return !isOnUpdate && (clocks.has(word) || (clocksCalled.has(word) && isCalled(words, i) && !ofItsArgument))
  })
  if (told !== undefined) return told
  // Without explicit_defaults_for_timestamp the first one has the clock for its default, unless it says otherwise.
  const bare = words.some(
    (word, i) => word === 'TIMESTAMP' && words[i + 1] !== '?' && !beforeNames.has(words[i - 1] ?? '') && saysNoDefault(words, i),
  )
  return bare ? 'TIMESTAMP without NULL and DEFAULT' : null
}

/** Whether the column whose type stands there has neither NULL nor a DEFAULT. */
function saysNoDefault(words: readonly string[], type: number): boolean {
  let depth = 0
  for (let i = type + 1; i < words.length && depth >= 0 && !(depth === 0 && words[i] === ','); i++) {
    const word = words[i] as string
    if (word === '(') depth++
    else if (word === ')') depth--
    else if (depth === 0 && (word === 'DEFAULT' || word === 'AS' || (word === 'NULL' && words[i - 1] !== 'NOT'))) return false
  }
  return true
}

/** Whether a statement leaves every value of every column that was there as it is. */
export function keepsValues(event: QueryEvent): boolean {
  const { verb, ...statement } = event.statement
  const words = ddlWords(event)
  if (words === null || statement.kind !== 'ddl') return false
  const object = statement.object.toUpperCase()
  if (object === 'INDEX') return true
  return object === 'TABLE' && verb.toUpperCase() === 'ALTER' && leavesColumns(words)
}

/** Whether every column that was there has its name, type and place in the key as before: keys, comments and new columns. */
function leavesColumns(words: readonly string[]): boolean {
  return alterClauses(words).every(({ from }) => {
    const [word = '', next = '', afterNext, third] = words.slice(from, from + 4)
    const key = ['INDEX', 'KEY', 'CONSTRAINT', 'FOREIGN', 'CHECK'].includes(next)
    return (
      (word === 'ADD' && next !== 'PRIMARY' && !(next === 'CONSTRAINT' && (afterNext === 'PRIMARY' || third === 'PRIMARY'))) ||
      (word === 'DROP' && key) ||
      (word === 'RENAME' && (next === 'INDEX' || next === 'KEY')) ||
      (word === 'ALTER' && (next === 'INDEX' || next === 'CHECK' || next === 'CONSTRAINT')) ||
      ['ALGORITHM', 'LOCK', 'COMMENT'].includes(word)
    )
  })
}

/** Where the clauses of an ALTER [ONLINE] TABLE [IF EXISTS] begin and end among its words: the first stands behind the table's name, each further one behind a comma. */
export function alterClauses(words: readonly string[]): { readonly from: number; readonly to: number }[] {
  const clauses: { from: number; to: number }[] = []
  let from = words.indexOf('TABLE') + 1
  if (words[from] === 'IF') from += 2
  while (words[from + 1] === '.') from += 2
  from++
  let depth = 0
  for (let at = from; at < words.length; at++) {
    const word = words[at]
    if (word === '(') depth++
    else if (word === ')') depth--
    else if (word === ',' && depth === 0) {
      clauses.push({ from, to: at })
      from = at + 1
    }
  }
  if (from < words.length) clauses.push({ from, to: words.length })
  return clauses
}

/** The statement for a target: names qualified by the source's schema are qualified by the target's. Null: it names another schema, and would act there. */
export function ddlForTarget(event: QueryEvent, sourceSchema: string, targetSchema: string): Buffer | null {
  const lexed = new Lexer().lex(event.text, 0, modeOf(event))
  const edits = withoutLimits(lexed)
  for (let token = 0; token + 2 < lexed.count; token++) {
    if (!isName(lexed, token) || !isDot(lexed, token + 1) || !isName(lexed, token + 2)) continue
    if (token > 0 && isDot(lexed, token - 1)) continue
    if (nameOf(lexed, token).toLowerCase() !== sourceSchema.toLowerCase()) return null
    edits.push({ span: { from: token, to: token + 1 }, text: quoteIdentifier(targetSchema) })
  }
  return splice(lexed, edits)
}

const limits = new Set(['MAX_STATEMENT_TIME', 'LOCK_WAIT_TIMEOUT', 'INNODB_LOCK_WAIT_TIMEOUT'])

/**
 * How long it might take was said for its source. A target that is busier, or has more rows, would end it (1969), and it would be executed again without end. So of `SET STATEMENT …`
 * everything else stays.
 */
function withoutLimits(lexed: Lexed): Edit[] {
  const word = (token: number): string => textOf(lexed, token).toUpperCase()
  if (lexed.count < 3 || word(0) !== 'SET' || word(1) !== 'STATEMENT') return []
  const kept: string[] = []
  let depth = 0
  let from = 2
  for (let token = 2; token < lexed.count; token++) {
    const text = word(token)
    if (text === '(') depth++
    else if (text === ')') depth--
    if (depth > 0 || (text !== ',' && text !== 'FOR')) continue
    if (!limits.has(nameOf(lexed, from).toUpperCase())) kept.push(spanText(lexed, { from, to: token }))
    if (text === 'FOR') return [{ span: { from: 0, to: token + 1 }, text: kept.length === 0 ? '' : `SET STATEMENT ${kept.join(', ')} FOR` }]
    from = token + 1
  }
  return []
}

/** `ALTER TABLE a RENAME [TO|AS] b`, not RENAME COLUMN, INDEX or KEY. */
function renamesTable(words: readonly string[]): boolean {
  return words.some((word, i) => word === 'RENAME' && i + 1 < words.length && !['COLUMN', 'INDEX', 'KEY'].includes(words[i + 1] ?? ''))
}

/** Tokens outside of quotes: words in capitals, quoted names and literals by a mark that is no word. Null: not to be read as its server reads it. */
export function ddlWords(event: QueryEvent): string[] | null {
  return readWords(event)?.words ?? null
}

/** `names`: beside each word that is a mark, the text within the quotes. */
export function readWords(event: QueryEvent): { words: string[]; names: string[] } | null {
  const text = clientText(event.text, event.session.charset?.client ?? null)
  if (unreadable(text)) return null
  let lexed: Lexed
  try {
    lexed = new Lexer().lex(Buffer.from(text), 0, modeOf(event))
  } catch (error) {
    if (!isSwError(error)) throw error
    return null
  }
  const all = Array.from({ length: lexed.count }, (_, token) => {
    const kind = lexed.tokens[3 * token]
    if (kind === Kind.Word) return textOf(lexed, token).toUpperCase()
    return kind === Kind.Operator || kind === Kind.Integer ? textOf(lexed, token) : '?'
  })
  const words = behindSetStatement(all)
  const skipped = all.length - words.length
  return { words, names: words.map((_, i) => textOf(lexed, i + skipped).slice(1, -1)) }
}

/** Without MariaDB's `SET STATEMENT … FOR`. */
function behindSetStatement(words: string[]): string[] {
  if (words[0] !== 'SET' || words[1] !== 'STATEMENT') return words
  let depth = 0
  const at = words.findIndex((word) => {
    if (word === '(') depth++
    else if (word === ')') depth--
    return depth === 0 && word === 'FOR'
  })
  return words.slice(at + 1)
}

function follows(words: readonly string[], ...phrase: readonly string[]): boolean {
  return words.some((_, i) => phrase.every((word, n) => words[i + n] === word))
}

/** How the session read quotes. */
function modeOf({ session }: QueryEvent): LexerMode {
  const mode = session.sqlMode ?? 0n
  return { ansiQuotes: (mode & 0x4n) !== 0n, noBackslashEscapes: (mode & 0x10_0000n) !== 0n }
}

function textOf(lexed: Lexed, token: number): string {
  return lexed.bytes.toString('utf8', tokenStart(lexed, token), tokenEnd(lexed, token))
}

function isName(lexed: Lexed, token: number): boolean {
  const kind = lexed.tokens[3 * token]
  return kind === Kind.Word || kind === Kind.QuotedName
}

function nameOf(lexed: Lexed, token: number): string {
  const text = textOf(lexed, token)
  if (lexed.tokens[3 * token] !== Kind.QuotedName) return text
  const quote = text[0] ?? ''
  return text.slice(1, -1).replaceAll(quote + quote, quote)
}

function isDot(lexed: Lexed, token: number): boolean {
  return textOf(lexed, token) === '.'
}
