/**
 * DDL on moved tables (PROTOCOLS 1.13; the table of outcomes is docs/ddl.md). Pure.
 *
 * `stop` stops at every one. `ignore` and `exec` go on only where going on can be right: a table that is gone leaves nothing to move, so DROP and RENAME stop
 * in every mode; a TRUNCATE removes rows that no event names, so it is executed where this stream alone fills the target, and stops elsewhere.
 */
import type { QueryEvent } from '../binlog/source.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { Kind, Lexer, tokenEnd, tokenStart, type Lexed } from '../sql/lexer.ts'
import { splice, type Edit } from '../sql/splice.ts'

export type DdlMode = 'stop' | 'ignore' | 'exec'
export type DdlOutcome = { readonly kind: 'ignore' | 'exec' } | { readonly kind: 'stop'; readonly reason: string }

export function ddlOutcome(mode: DdlMode, event: QueryEvent, severalSources: boolean): DdlOutcome {
  if (mode === 'stop') return { kind: 'stop', reason: '--on-ddl stop' }
  const verb = event.statement.verb.toUpperCase()
  if (verb === 'DROP' && event.statement.kind === 'ddl' && event.statement.object.toUpperCase() !== 'INDEX')
    return { kind: 'stop', reason: 'the table is gone, there is nothing left to move' }
  if (verb === 'RENAME' || (verb === 'ALTER' && renamesTable(event.text)))
    return { kind: 'stop', reason: 'the table has another name now, which the workflow does not know' }
  if (verb === 'TRUNCATE' && mode === 'ignore')
    return { kind: 'stop', reason: 'TRUNCATE removes rows that no event names: they would stay on the targets' }
  if (verb === 'TRUNCATE' && severalSources)
    return { kind: 'stop', reason: 'TRUNCATE on a target that several sources fill would remove the rows of the others' }
  return { kind: mode }
}

/** The server's errors that say that what was to be made is there, or what was to be dropped is not: the statement was executed before. */
export const executedBefore: ReadonlySet<number> = new Set([1050, 1060, 1061, 1068, 1091])

/** The statement for a target: names qualified by the source's schema are qualified by the target's. Null: it names another schema, and would act there. */
export function ddlForTarget(text: Buffer, sourceSchema: string, targetSchema: string): Buffer | null {
  const lexed = new Lexer().lex(text)
  const edits: Edit[] = []
  for (let token = 0; token + 2 < lexed.count; token++) {
    if (!isName(lexed, token) || !isDot(lexed, token + 1) || !isName(lexed, token + 2)) continue
    if (token > 0 && isDot(lexed, token - 1)) continue
    if (nameOf(lexed, token).toLowerCase() !== sourceSchema.toLowerCase()) return null
    edits.push({ span: { from: token, to: token + 1 }, text: quoteIdentifier(targetSchema) })
  }
  return splice(lexed, edits)
}

/** `ALTER TABLE a RENAME [TO|AS] b`, not RENAME COLUMN, INDEX or KEY. */
function renamesTable(text: Buffer): boolean {
  const lexed = new Lexer().lex(text)
  for (let token = 0; token + 1 < lexed.count; token++) {
    if (wordOf(lexed, token) !== 'RENAME') continue
    if (!['COLUMN', 'INDEX', 'KEY'].includes(wordOf(lexed, token + 1))) return true
  }
  return false
}

function textOf(lexed: Lexed, token: number): string {
  return lexed.bytes.toString('utf8', tokenStart(lexed, token), tokenEnd(lexed, token))
}

function wordOf(lexed: Lexed, token: number): string {
  return lexed.tokens[3 * token] === Kind.Word ? textOf(lexed, token).toUpperCase() : ''
}

function isName(lexed: Lexed, token: number): boolean {
  const kind = lexed.tokens[3 * token]
  return kind === Kind.Word || kind === Kind.QuotedName
}

function nameOf(lexed: Lexed, token: number): string {
  const text = textOf(lexed, token)
  return lexed.tokens[3 * token] === Kind.QuotedName ? text.slice(1, -1).replaceAll('``', '`') : text
}

function isDot(lexed: Lexed, token: number): boolean {
  return textOf(lexed, token) === '.'
}
