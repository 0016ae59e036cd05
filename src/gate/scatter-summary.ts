/** What a write over several shards says of itself, of what each shard says. */
import type { Connection, OkResult } from '../mysql/connection.ts'
import type { Warning } from './scatter-warnings.ts'

/** `insertId`: of one answer, what it names. */
export type WriteSummary = { affectedRows: bigint; insertId: bigint; warnings: number; info: string }

/** Of `Records: 3  Duplicates: 0  Warnings: 0` and `Rows matched: 3  Changed: 2  Warnings: 0` the numbers, in whatever language (`lc_messages`); null: it says nothing. */
export function numbersOf(info: string): readonly [bigint, bigint, bigint] | null {
  const said = /^\D+(\d+)\D+(\d+)\D+(\d+)\D*$/.exec(info)
  return said === null ? null : [BigInt(said[1] ?? 0), BigInt(said[2] ?? 0), BigInt(said[3] ?? 0)]
}

/** ER_CHECK_CONSTRAINT_VIOLATED, ER_NO_REFERENCED_ROW_2. */
const [failedCheck, withoutParent] = ['3819', '1452']

/**
 * A row that IGNORE leaves out for a CHECK or, from MySQL 9.6 on, for a missing parent is counted neither among the records nor among the duplicates (*tried*; MariaDB counts it as both). An INSERT of one
 * such row alone says nothing: it is given what it would say among others.
 */
export function withLeftOut(result: OkResult, list: readonly Warning[], mysql: Pick<Connection, 'versionNumber'> | null): OkResult {
  if (mysql === null || result.info !== '' || result.affectedRows > 0n) return result
  const leftOut = list.some(([, code]) => code === failedCheck || (code === withoutParent && mysql.versionNumber >= 90600))
  return leftOut ? { ...result, info: `Records: 0  Duplicates: 0  Warnings: ${result.warnings}` } : result
}

/** `Records: 3  Duplicates: 0  Warnings: 0` of several: the same words with the numbers added. */
export function summary(results: readonly OkResult[]): WriteSummary {
  let affectedRows = 0n
  let warnings = 0
  let info = results[0]?.info ?? ''
  for (const [i, result] of results.entries()) {
    affectedRows += result.affectedRows
    warnings += result.warnings
    if (i > 0) info = addInfo(info, result.info)
  }
  return { affectedRows, insertId: results.length === 1 && results[0] !== undefined ? results[0].insertId : 0n, warnings, info }
}

/** And what was warned of before, as rows were put together. */
export function withWarnings(said: WriteSummary, before: number): WriteSummary {
  const info = said.info.replace(/\d+(?=\D*$)/, (count) => String(Number(count) + before))
  return { ...said, warnings: said.warnings + before, info }
}

/** Of an INSERT: the id that the client gave its last row is named, where that is known, also by shards whose column is no AUTO_INCREMENT. */
export function withGivenId<T extends { affectedRows: bigint; insertId: bigint }>(said: T, lastId: bigint | null = null): T {
  return lastId === null || said.affectedRows === 0n ? said : { ...said, insertId: lastId }
}

/**
 * A multi-row INSERT says how many rows it had; a part of one row says nothing, as an INSERT of one row would. Of ids that the client gave it names the last row's, which itself
 * may have been left out.
 *
 * @param lastRowAt which result is of the last row; null: none
 * @param lastId the id that the client gave it; null: that is not known, or says nothing as ON DUPLICATE KEY UPDATE may meet another row
 */
export function insertSummary(
  results: readonly OkResult[],
  ignore: boolean,
  before = 0,
  lastRowAt: number | null = null,
  lastId: bigint | null = null,
): WriteSummary {
  let affectedRows = 0n
  let warnings = before
  let records = 0n
  let duplicates = 0n
  for (const result of results) {
    affectedRows += result.affectedRows
    warnings += result.warnings
    const said = numbersOf(result.info)
    records += said?.[0] ?? 1n
    if (said !== null) duplicates += said[1]
    else if (ignore) duplicates += result.affectedRows === 0n ? 1n : 0n
    else if (result.affectedRows > 1n) duplicates += result.affectedRows - 1n
  }
  const insertId = (lastRowAt === null ? undefined : results[lastRowAt])?.insertId ?? 0n
  const info = `Records: ${records}  Duplicates: ${duplicates}  Warnings: ${warnings}`
  return withGivenId({ affectedRows, insertId, warnings, info }, lastId)
}

function addInfo(a: string, b: string): string {
  const numbers = b.match(/\d+/g) ?? []
  let i = 0
  return a.replace(/\d+/g, (n) => String(BigInt(n) + BigInt(numbers[i++] ?? '0')))
}
