/** Rows of a write that is put together at one place, stored as its table would hold them. */
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { scratchKey, unlessReopened } from './gather-fill.ts'
import { executedOnce } from './part-stream.ts'
import type { Executed } from './scatter-parts.ts'
import { storedOf, type Stored } from './scatter-warnings.ts'

/**
 * What a query answers, in a table of its own whose columns are as those of a table: values are converted as there.
 *
 * @param made its columns, of `t` as they are there, of `o` nullable
 * @returns what that was warned of
 */
export async function storeRows(
  scratch: Connection,
  table: string,
  made: string,
  names: string,
  ignore: boolean,
  query: Executed,
): Promise<Stored> {
  const from = quoteIdentifier(table)
  await scratch.query(
    `CREATE TEMPORARY TABLE _sw_rows (${scratchKey}) AS SELECT ${made} FROM ${from} t LEFT JOIN ${from} o ON FALSE LIMIT 0`,
  )
  const into = Buffer.from(`INSERT ${ignore ? 'IGNORE ' : ''}INTO _sw_rows (${names}) `)
  const result = await executedOnce(scratch, { ...query, text: Buffer.concat([into, query.text]) }).catch((error: unknown) => {
    throw unlessReopened(error)
  })
  return await storedOf(scratch, result)
}
