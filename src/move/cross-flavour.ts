/** What a table has that the other flavour lacks, by column: refused before anything is made (PROTOCOLS 1.12). */
import type { SwError } from '../base/errors.ts'
import { charsetName } from '../binlog/table-definitions.ts'
import type { Connection, FlavourName } from '../mysql/connection.ts'
import { readSchema } from '../mysql/introspect.ts'
import type { TableInfo } from '../mysql/table-info.ts'
import { parseTableDefinition } from '../sql/table-definition.ts'
import { moveErrors } from './errors.ts'
import { expressionFindings, nameOf } from './expressions-elsewhere.ts'

/** Types of one flavour only. MySQL's JSON is another type than MariaDB's, which is text: neither gives the other's bytes back. */
const onlyIn: Readonly<Record<FlavourName, ReadonlySet<string>>> = {
  mysql: new Set(['vector', 'json']),
  mariadb: new Set(['uuid', 'inet6', 'inet4']),
}

/** Findings about tables that are to be moved to a server of the other flavour; none where it is the same. */
export async function crossFlavourFindings(
  source: Connection,
  schema: string,
  tables: readonly string[],
  target: Connection,
): Promise<SwError[]> {
  if (source.flavour === target.flavour) return []
  const collations = new Set((await target.allText(`SHOW COLLATION`)).map((row) => row.Collation ?? ''))
  const info = await readSchema(source, schema, tables)
  const findings = new Map(info.tables.map((table) => [table, tableFindings(table, source.flavour, target.flavour, collations)]))
  const well = info.tables.filter((table) => findings.get(table)?.length === 0)
  return [...[...findings.values()].flat(), ...(await expressionFindings(source, well, target))]
}

function tableFindings(table: TableInfo, from: FlavourName, to: FlavourName, collations: ReadonlySet<string>): SwError[] {
  const findings: SwError[] = []
  const refuse = (column: string, what: string): void => {
    findings.push(moveErrors.notOnOtherFlavour({ column, table: table.name, what, flavour: to }))
  }
  for (const column of table.columns) {
    const scale = /^decimal\(\d+,(\d+)\)/i.exec(column.columnType)
    if (onlyIn[from].has(column.dataType)) refuse(column.name, `the type ${column.dataType}`)
    else if (from === 'mariadb' && scale !== null && Number(scale[1]) > 30) refuse(column.name, `the type ${column.columnType}`)
    else if (column.collation !== null && !hasCollation(collations, column.collation))
      refuse(column.name, `the collation ${column.collation}`)
    else if (/\/\*M?!100301 COMPRESSED/i.test(column.columnType)) refuse(column.name, 'COMPRESSED')
  }
  if (!hasCollation(collations, table.collation)) refuse('(default)', `the collation ${table.collation}`)
  for (const key of table.keys) {
    if (to === 'mariadb' && key.parts.some((part) => part.column === null)) refuse(key.name, 'a key over an expression')
  }
  for (const element of parseTableDefinition(table.createSql).elements) {
    // MySQL tells a column's check as one of the table.
    if (element.kind !== 'column' && element.kind !== 'other') continue
    // Of what is said of it, without its name, comment and default.
    const said = /SRID \d+|COMPRESSED|NOT ENFORCED/.exec(element.text.replace(/'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`/gs, "''"))?.[0]
    if (said !== undefined && !(to === 'mysql' && said.startsWith('SRID'))) refuse(nameOf(element), said)
  }
  return distinct(findings)
}

/** MySQL takes an older server's `utf8_…` for `utf8mb3_…`, which alone it lists (*tried*, 9.7). */
export function hasCollation(collations: ReadonlySet<string>, name: string): boolean {
  return collations.has(name) || collations.has(charsetName(name) ?? name)
}

function distinct(findings: readonly SwError[]): SwError[] {
  return [...new Map(findings.map((finding) => [finding.message, finding])).values()]
}
