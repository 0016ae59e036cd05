/**
 * Expressions of a table (defaults, generated columns, checks) that a server of the other flavour does not take, by column. No list of functions says that, which would be wrong
 * with the next version: the server is asked, by a temporary table of the session, which nobody else sees (MariaDB logs it where the session logs statements).
 */
import type { SwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { TableInfo } from '../mysql/table-info.ts'
import { quoteQualified } from '../sql/quote.ts'
import { translateDefinition } from '../sql/flavour-translation.ts'
import { parseTableDefinition, printTableDefinition, type TableElement } from '../sql/table-definition.ts'
import { withoutAutoIncrement } from '../sql/table-edits.ts'
import { moveErrors } from './errors.ts'

const triedName = '_shardwright_expressions'
const unknownColumn = 1054

export async function expressionFindings(source: Connection, tables: readonly TableInfo[], target: Connection): Promise<SwError[]> {
  const findings: SwError[] = []
  if (tables.length === 0) return findings
  const schema = await schemaOf(target)
  for (const table of tables) {
    const parsed = withoutAutoIncrement(parseTableDefinition(table.createSql))
    const { elements } = translateDefinition(parsed, source.flavour, target.flavour)
    const taken = elements.filter((element) => element.kind === 'column' && !hasExpression(element))
    const asked = elements.filter(hasExpression)
    // What is wrong with plain columns is told otherwise, or by the server when the table is made.
    if (
      asked.length === 0 ||
      (await refusal(target, schema, [...taken, ...asked])) === null ||
      (await refusal(target, schema, taken)) !== null
    )
      continue
    for (const element of asked) {
      const refused = await refusal(target, schema, [...taken, element])
      if (refused === null) taken.push(element)
      // Of a column that was refused itself.
      else if (refused.errno !== unknownColumn)
        findings.push(
          moveErrors.notOnOtherFlavour({
            column: nameOf(element),
            table: table.name,
            what: `an expression (${refused.serverMessage})`,
            flavour: target.flavour,
          }),
        )
    }
  }
  return findings
}

function hasExpression(element: TableElement): boolean {
  if (element.kind === 'other') return true
  return element.kind === 'column' && (element.generated !== null || /\bDEFAULT [\w(]+\(|\bDEFAULT \(|\bCHECK\b/i.test(element.text))
}

/** Of a column or a check. */
export function nameOf(element: TableElement): string {
  if (element.kind === 'column') return element.name
  return /^CONSTRAINT `((?:[^`]|``)+)`/.exec(element.text)?.[1] ?? element.text.slice(0, 60)
}

/** Some schema of the server: a temporary table stands in one. */
async function schemaOf(target: Connection): Promise<string> {
  const own = await target.value(
    "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys') LIMIT 1",
  )
  return own ?? 'mysql'
}

/** Null: the server takes it, or may not be asked. */
async function refusal(
  target: Connection,
  schema: string,
  elements: readonly TableElement[],
): Promise<{ errno: number; serverMessage: string } | null> {
  if (elements.length === 0) return null
  const definition = { name: triedName, temporary: true, elements, options: '', autoIncrementNext: null }
  const quoted = quoteQualified(schema, triedName)
  try {
    await target.query(printTableDefinition(definition, quoted))
  } catch (error) {
    if (!isServerError(error)) throw error
    return error.kind === 'access' ? null : { errno: error.errno, serverMessage: error.serverMessage }
  }
  await target.query(`DROP TEMPORARY TABLE ${quoted}`)
  return null
}
