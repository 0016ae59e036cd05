/**
 * The temporary tables in which a gathered statement's rows are put together: as the keyspace's own, with their keys, which decide what is a duplicate and how groups and orders come out.
 *
 * No server makes a temporary table like one with a FULLTEXT key or partitions. Neither changes what a row is or which rows are equal, so the table is made from its own text without them; a statement that
 * says more than rows, of such a key or a partition, is refused as before. Foreign keys, which LIKE leaves out too, and checks go the same way.
 */
import { isSwError } from '../base/errors.ts'
import type { Connection, Result } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { parseTableDefinition, printTableDefinition, type ColumnElement } from '../sql/table-definition.ts'
import { columnsOf } from '../sql/table-edits.ts'
import { shapeShown } from './columns.ts'
import { StaleColumns } from './execution-errors.ts'
import type { GatherJob, Step } from './gather-job.ts'
import { loadMode } from './gather-values.ts'
import { planErrors } from './plan/errors.ts'

/**
 * MariaDB 10.11 loses rows where it makes the groups of a derived table one by one for the rows of a semijoin whose duplicates it weeds out (LATERAL DERIVED between Start temporary and End temporary, *tried*): a plan that it
 * takes for few rows with keys and without statistics, as they are here, more readily than where the tables stand. The connection is reset before anybody else has it.
 */
const notSplit = "SET optimizer_switch='split_materialized=off'"

/** Texts that may name what a table made from its text lacks; more than do are met, and refused. */
const ofKeys = /\b(?:MATCH|INDEX|KEY|PARTITION)\b/i

/** Makes the tables of all steps. Errors: SW-GATE-100 a server makes none like one of them; of the server; StaleColumns. */
export async function makeScratchTables(job: GatherJob, connection: Connection): Promise<void> {
  const first = [`SET sql_mode='${loadMode}'`, ...(connection.flavour === 'mariadb' ? [notSplit] : [])]
  const alike = job.steps.map(({ name, plan }) => `CREATE TEMPORARY TABLE ${quoteIdentifier(name)} LIKE ${quoteIdentifier(plan.table)}`)
  try {
    const answers = await connection.pipeline([...first, ...job.steps.flatMap((step, i) => [alike[i] as string, shownColumnsOf(step)])])
    // A column that is not fetched would have its default in every row.
    for (const [i, { plan }] of job.steps.entries()) requireShape(plan, answers[first.length + 1 + 2 * i] as Result)
  } catch (error) {
    if (!isServerError(error) || error.kind !== 'other') throw error
    const texts = [job.text, job.before, job.after, ...job.steps.flatMap(({ filters }) => filters.map(({ text }) => text))]
    if (texts.some((text) => ofKeys.test(text.toString('latin1')))) throw notCopied(job, error)
    await makeFromTexts(job, connection, error).catch((again: unknown) => {
      // A view, say, is none that can be read as a table.
      const isNone = isSwError(again, 'SW-SQL-008') || (isServerError(again) && again.kind === 'other')
      throw isNone ? notCopied(job, error) : again
    })
  }
}

async function makeFromTexts(job: GatherJob, connection: Connection, refused: Error): Promise<void> {
  for (const step of job.steps) {
    const name = quoteIdentifier(step.name)
    const [, shown] = await connection.pipeline([
      `DROP TEMPORARY TABLE IF EXISTS ${name}`,
      `SHOW CREATE TABLE ${quoteIdentifier(step.plan.table)}`,
    ])
    const text = shown?.kind === 'rows' ? shown.rows[0]?.[1] : undefined
    if (!text) throw new StaleColumns(step.plan.table)
    const made = asTemporary(text, step.name)
    if (made === null) throw refused
    const [, columns] = await connection.pipeline([made, shownColumnsOf(step)])
    requireShape(step.plan, columns as Result)
  }
}

/**
 * What SHOW CREATE TABLE says, as a temporary table without FULLTEXT and foreign keys, checks (its rows have passed them) and partitions. Null: letters beyond three bytes are told as question marks (*tried*: of an
 * ENUM's values by both servers, of what a column is generated from by MySQL 9.7.4), and the column would be another.
 */
function asTemporary(shown: Buffer, name: string): Buffer | null {
  // Byte by byte: in whichever character set the session is told it.
  const definition = parseTableDefinition(shown.toString('latin1'))
  if (columnsOf(definition).some(mayBeAnother)) return null
  const elements = definition.elements.filter(
    (element) => element.kind === 'column' || (element.kind === 'key' && element.type !== 'fulltext'),
  )
  const options = definition.options.replace(/\n(?:\/\*!\d{5,6})? ?PARTITION BY (?:RANGE|LIST|HASH|KEY|LINEAR|SYSTEM_TIME)\b[^]*$/, '')
  return Buffer.from(printTableDefinition({ ...definition, temporary: true, elements, options }, quoteIdentifier(name)), 'latin1')
}

function mayBeAnother({ name, dataType, generated, text }: ColumnElement): boolean {
  return (dataType === 'enum' || dataType === 'set' || generated !== null) && text.slice(quoteIdentifier(name).length).includes('?')
}

function shownColumnsOf({ name }: Step): string {
  return `SHOW FULL COLUMNS FROM ${quoteIdentifier(name)}`
}

/** @throws StaleColumns */
export function requireShape({ table, shape }: Step['plan'], answer: Result): void {
  if (shape !== undefined && shapeShown(answer) !== shape) throw new StaleColumns(table)
}

/** Tables of whose kind a server makes no temporary one. */
function notCopied(job: GatherJob, error: Error & { serverMessage: string }): Error {
  return planErrors.refused({
    construct: `a statement that needs rows of ${job.steps.map((step) => step.plan.table).join(', ')} together`,
    reason: error.serverMessage,
    instead: 'restrict the statement to one shard key value, or ask for the rows one by one',
  })
}
