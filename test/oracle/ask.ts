/** One side's answer, and what it warns of. */
import type { Connection } from '../../src/mysql/connection.ts'
import { ServerError } from '../../src/mysql/errors.ts'
import type { Answer } from './compare.ts'
import { asPrepared, asText } from './literal.ts'
import { rowsOf } from './tables.ts'

export async function ask(connection: Connection, marked: string, prepared: boolean): Promise<Answer> {
  try {
    if (!prepared) return { kind: 'answer', result: await connection.query(asText(marked)) }
    const { sql, params } = asPrepared(marked)
    const statement = await connection.prepare(sql)
    try {
      return { kind: 'answer', result: await statement.execute(params) }
    } finally {
      statement.close()
    }
  } catch (error) {
    if (!(error instanceof ServerError)) throw new Error(`the connection is gone after: ${asText(marked)}`, { cause: error })
    return {
      kind: 'error',
      errno: error.errno,
      message: error.serverMessage,
      code: /SW-[A-Z]+-\d+/.exec(error.serverMessage)?.[0] ?? null,
    }
  }
}

/** Which warnings one side has more often, by their codes and words without names and values. Of the statement before. */
export async function warningSort(one: Connection, four: Connection): Promise<string> {
  const told = async (connection: Connection): Promise<Map<string, number>> => {
    const counts = new Map<string, number>()
    for (const [, code, message] of await rowsOf(connection, 'SHOW WARNINGS')) {
      const sort = `${code?.toString() ?? ''} ${(message?.toString() ?? '').replace(/'[^']*'/g, '…').replace(/\d+/g, '#')}`
      counts.set(sort, (counts.get(sort) ?? 0) + 1)
    }
    return counts
  }
  const [a, b] = [await told(one), await told(four)]
  const differing = [...new Set([...a.keys(), ...b.keys()])].filter((sort) => a.get(sort) !== b.get(sort)).toSorted()
  const words = differing.map((sort) => `${sort} (${(b.get(sort) ?? 0) > (a.get(sort) ?? 0) ? 'more' : 'fewer'} by the gate)`)
  return words.join(', ') || 'more than are listed'
}
