/**
 * Rows of a round among which some may collide with another stream's (PROTOCOLS 1.6; docs/decisions/008): all that pass are written, and who does not is told.
 *
 * A server takes back a statement that collides alone and goes on with its transaction. So what collides is found by statements of fewer rows, hundreds of them in one transaction: about one statement a row that
 * collides, and no transaction where none of them passes. By halves of a round, each in a transaction of its own, five hundred rows of which two hundred collide had taken eight hundred.
 */
import type { ServerError } from '../mysql/errors.ts'
import { statementBytes, type StatementBytes } from '../mysql/statement.ts'
import type { Lane } from './lane.ts'
import type { Change } from './pending.ts'
import { upsertStatements } from './statements.ts'

/** Rows of a statement, once one of more of them has collided. */
const fewRows = 32

/** Of small statements in one transaction. What collides keeps a lock on the row in its way until the transaction ends. */
const [statementsMax, bytesMax] = [200, 1 << 20]

/** `why`: of the first row that was refused by itself. */
export type Passed = { readonly refused: readonly Change[]; readonly why: ServerError | null }

/** @param first statements to begin with, and the rows of each: of one table */
export async function writeWhatPasses(
  lane: Pick<Lane, 'attempt'>,
  first: { readonly upserts: readonly StatementBytes[]; readonly rows: readonly (readonly Change[])[] },
  schema: string,
): Promise<Passed> {
  const refused: Change[] = []
  let why: ServerError | null = null
  let collided: (readonly Change[])[] = []
  const send = async (statements: readonly StatementBytes[], rows: readonly (readonly Change[])[]): Promise<void> => {
    for (const [place, error] of await lane.attempt(statements)) {
      const changes = rows[place] ?? []
      if (changes.length === 1) why ??= error
      if (changes.length === 1) refused.push(...changes)
      else collided.push(changes)
    }
  }
  // A few statements a transaction: locks and undo stay small, and nothing depends on a lane being one transaction.
  for (let at = 0; at < first.upserts.length; at += 8) await send(first.upserts.slice(at, at + 8), first.rows.slice(at, at + 8))
  while (collided.length > 0) {
    const larger = collided
    collided = []
    let statements: StatementBytes[] = []
    let rows: (readonly Change[])[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      if (statements.length > 0) await send(statements, rows)
      statements = []
      rows = []
      bytes = 0
    }
    for (const changes of larger) {
      const [one] = changes
      if (one === undefined) continue
      const smaller = upsertStatements(one.table, changes, 'several-sources', schema, changes.length > fewRows ? fewRows : 1)
      for (const { statement, changes: few } of smaller) {
        statements.push(statement)
        rows.push(few)
        bytes += statementBytes(statement)
        if (statements.length >= statementsMax || bytes >= bytesMax) await flush()
      }
    }
    await flush()
  }
  return { refused, why }
}
