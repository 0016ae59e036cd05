/**
 * What servers refuse of one row and not of several, or the other way round (*tried*: MariaDB 10.11, MySQL 9.7). Without a strict sql_mode a NULL where none may be (1048) is what its type has for none,
 * and warned of, but in an INSERT of one row; so it is in ON DUPLICATE KEY UPDATE, and there of INSERT … SELECT, too. On MariaDB a row that fails a CHECK (4025) is left out by IGNORE, but an only one.
 *
 * A row of several may be alone on its shard. What is refused for that is done once more as INSERT … SELECT, which goes by the rule of several, converts and warns alike, and counts its row.
 */
import type { Result } from '../mysql/connection.ts'
import { isServerError, ServerError } from '../mysql/errors.ts'
import type { Insert, Span } from '../sql/ast.ts'
import type { Lexed } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import { spanBytes, splice, type Edit } from '../sql/splice.ts'
import type { Backend } from './backend.ts'
import { performed } from './part-stream.ts'
import { planErrors } from './plan/errors.ts'
import { bare } from './plan/slots.ts'
import { warningsOf, type Warning } from './scatter-warnings.ts'
import type { InsertsOf, Part } from './scatter-parts.ts'
import type { SessionSettings } from './settings.ts'
import { lexStrictly, modeOf } from './statement-text.ts'

const [badNull, failedCheck, unknownColumn] = [1048, 4025, 1054]

/** `performed`, by the rules of the client's statement. @throws SW-GATE-100 */
export async function performedOfSeveral(
  inserts: InsertsOf | null,
  part: Part,
  backend: Backend,
  ahead: readonly string[],
  settings: SessionSettings,
): Promise<Result> {
  try {
    const result = await performed(part, backend, ahead)
    // Its rows were stored before: only what they change on meeting others can be NULL.
    if (inserts === 'select' && result.warnings > 0 && !read(part, settings).insert.ignore) refuseNull(await warningsOf(backend.connection))
    return result
  } catch (error) {
    if (inserts === null || !isServerError(error) || (error.errno !== badNull && error.errno !== failedCheck)) throw error
    const { insert, lexed } = read(part, settings)
    if (insert.rows.length !== 1 || insert.ignore !== (error.errno === failedCheck)) throw error
    const text = asSelect(insert, lexed)
    if (error.errno === badNull && /STRICT/.test((await backend.connection.value('SELECT @@sql_mode')) ?? '')) throw error
    if (text === null) throw notAlone(error)
    return await performed({ ...part, text }, backend, []).catch((other: unknown) => {
      const unlike = inserts === 'rows' && insert.onDuplicate !== null ? [unknownColumn, badNull] : [unknownColumn]
      throw isServerError(other) && unlike.includes(other.errno) ? notAlone(error) : other
    })
  }
}

/** Of what servers refuse where the gate's own statement was but warned. @throws 1048 */
export function refuseNull(list: readonly Warning[]): void {
  const [, , message] = list.find(([, code]) => code === String(badNull)) ?? []
  if (message != null) throw new ServerError(badNull, '23000', message)
}

/** Another text, another statement. The lexer is everybody's. */
function read({ text }: Part, settings: SessionSettings): { insert: Insert; lexed: Lexed } {
  const lexed = lexStrictly(text, modeOf(settings))
  return { insert: parse(lexed) as Insert, lexed }
}

/** A column that is to have its DEFAULT is left out, which is the same. Null: not to be said so. */
function asSelect({ columns, columnsSpan, rows, rowsSpan, rowAlias }: Insert, lexed: Lexed): Buffer | null {
  const [row] = rows
  if (row === undefined || rowsSpan === null || rowAlias !== null) return null
  const given = row.values.map((value) => bare(value).kind !== 'default')
  const listed = (spans: readonly Span[]): Buffer =>
    Buffer.concat(spans.filter((_, i) => given[i]).flatMap((span, i) => [i === 0 ? nothing : comma, spanBytes(lexed, span)]))
  const values = listed(row.values.map(({ span }) => span))
  const edits: Edit[] = [{ span: { from: rowsSpan.from - 1, to: rowsSpan.to }, text: Buffer.concat([select, values]) }]
  if (given.includes(false)) {
    if (columns === null || columnsSpan === null) return null
    const names = listed(columns.map(({ span }) => span))
    edits.push({ span: columnsSpan, text: Buffer.concat([Buffer.from('('), names, Buffer.from(')')]) })
  }
  return splice(lexed, edits)
}

const [nothing, comma, select] = [Buffer.alloc(0), Buffer.from(', '), Buffer.from(' SELECT ')]

function notAlone({ errno, serverMessage }: ServerError): Error {
  return planErrors.refused({
    construct: `a row of several that is alone on its shard, and refused there (${errno}: ${serverMessage}),`,
    reason:
      'among others a server does it, and it can not be said otherwise where values name columns, the row has an alias, or ON DUPLICATE KEY UPDATE sets the NULL',
    instead: 'give another value, or insert the row by a statement of its own',
  })
}
