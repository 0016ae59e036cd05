/** What a statement in the source's binlog means for a stream (PROTOCOLS 1.10, 1.13). Pure. */
import { unreachable } from '../base/assert.ts'
import { unreadable } from '../binlog/client-text.ts'
import type { ObjectName } from '../binlog/query-kind.ts'
import type { QueryEvent } from '../binlog/source.ts'
import { ddlWords } from './ddl.ts'
import type { AnnouncedDdl } from './tail-consumer-options.ts'

export type Verdict =
  | { kind: 'pass' }
  | { kind: 'statement-format' }
  | { kind: 'ddl'; table: string }
  | { kind: 'announced'; table: string }

const tableObjects = new Set(['TABLE', 'INDEX', 'DATABASE', 'SCHEMA'])

/** `moved`: names of the moved tables of `schema`. Names compare without case: a server may keep them either way. */
export function judgeQuery(event: QueryEvent, announced: readonly AnnouncedDdl[], schema: string, moved: ReadonlySet<string>): Verdict {
  const { statement } = event
  switch (statement.kind) {
    case 'account':
    case 'maintenance':
      return { kind: 'pass' }
    case 'other':
      return { kind: 'statement-format' }
    case 'ddl':
      break
    default:
      return unreachable(statement)
  }
  // MariaDB's binlog_alter_two_phase: rows are as before until the ALTER is logged as committed.
  if (event.session.alter === 'begins' || event.session.alter === 'rolledBack') return { kind: 'pass' }
  if (!tableObjects.has(statement.object.toUpperCase())) return { kind: 'pass' }
  const wholeSchema = statement.object.toUpperCase() === 'DATABASE' || statement.object.toUpperCase() === 'SCHEMA'
  // Made or altered as a whole, a schema keeps its tables and rows: only defaults of tables to come change.
  if (wholeSchema && statement.verb.toUpperCase() !== 'DROP') return { kind: 'pass' }
  const hit = statement.objects.find((object) => {
    const schemaNamed = object.schema ?? event.schema
    if (!same(schemaNamed, schema) && !unreadable(schemaNamed)) return false
    // A name that can't be read may be that of a moved table.
    return wholeSchema || unreadable(object.name) || [...moved].some((name) => same(name, object.name))
  })
  if (wholeSchema && hit !== undefined) return { kind: 'ddl', table: '*' }
  if (hit === undefined || makesNothing(event)) return { kind: 'pass' }
  if (announced.some((ddl) => matches(ddl, statement.verb, hit, event.schema))) return { kind: 'announced', table: hit.name }
  return { kind: 'ddl', table: hit.name }
}

/** CREATE TABLE IF NOT EXISTS is logged whether it made the table or not. A moved table is there: one that was dropped before has stopped the stream. */
function makesNothing(event: QueryEvent): boolean {
  return ddlWords(event)?.slice(0, 5).join(' ') === 'CREATE TABLE IF NOT EXISTS'
}

function matches(announced: AnnouncedDdl, verb: string, object: ObjectName, schema: string): boolean {
  return same(announced.verb, verb) && same(announced.schema, object.schema ?? schema) && same(announced.name, object.name)
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
