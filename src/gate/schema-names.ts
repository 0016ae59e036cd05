/**
 * Of each column a server tells which schema it is from: that of the shard. Clients know it by the keyspace's name, and some write it before a table of their own
 * accord (JDBC's updatable results), so that is what they are told.
 */
import type { Column } from '../mysql/connection.ts'
import { ChangedDefinitions, changedPrepared, renamedSchema, type DefinitionChange } from './column-definitions.ts'
import { Kind, tokenKind, type Lexed } from '../sql/lexer.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { splice, type Edit } from '../sql/splice.ts'
import { Words } from './statement-words.ts'
import type { KeyspaceView, ShardView } from './view.ts'

const known = new WeakMap<ShardView, DefinitionChange | null>()

function changeOf(shard: ShardView): DefinitionChange | null {
  let change = known.get(shard)
  if (change === undefined) {
    const to = databaseOf(shard)
    change = to === shard.schema ? null : renamedSchema({ from: Buffer.from(shard.schema), to: Buffer.from(to) })
    known.set(shard, change)
  }
  return change
}

/** What clients call the schema. */
export function databaseOf({ keyspace }: Pick<ShardView, 'keyspace'>): string {
  const at = keyspace.indexOf('@')
  return at < 0 ? keyspace : keyspace.slice(0, at)
}

/** SHOW whose answer has the database's name in it, which is another one on the server. */
export function showsDatabase({ shards }: Pick<KeyspaceView, 'shards'>, sql: Buffer): boolean {
  // The letters S and h, small or capital: this is asked of every statement.
  if (((sql[0] as number) | 0x20) !== 0x73 || ((sql[1] as number) | 0x20) !== 0x68) return false
  if (shards[0] === undefined || shards[0].schema === databaseOf(shards[0])) return false
  return /^SHOW\s+((FULL|EXTENDED)\s+)*(TABLES|CREATE\s+(DATABASE|SCHEMA))\b/i.test(sql.toString('latin1', 0, 100))
}

/** SHOW TABLES as the shard's server takes it: clients call the column of names after their database. */
export function tablesOf(shard: ShardView, lexed: Lexed): Buffer {
  const column = `tables_in_${databaseOf(shard)}`.toLowerCase()
  const words = new Words(lexed)
  const edits: Edit[] = []
  for (let i = 0; i < lexed.count; i++) {
    const kind = tokenKind(lexed, i)
    if ((kind === Kind.Word || kind === Kind.QuotedName) && words.name(i).toLowerCase() === column)
      edits.push({ span: { from: i, to: i + 1 }, text: quoteIdentifier(`Tables_in_${shard.schema}`) })
  }
  return splice(lexed, edits)
}

/** For one answer; null: its columns are named right as they are. */
export function columnNames(shard: ShardView): ChangedDefinitions | null {
  const change = changeOf(shard)
  return change === null ? null : new ChangedDefinitions(change)
}

/** For decoded columns; undefined: as they are. */
export function inKeyspace(shard: ShardView): ((column: Column) => Column) | undefined {
  if (changeOf(shard) === null) return undefined
  const database = databaseOf(shard)
  return (column) => (column.schema === shard.schema ? { ...column, schema: database } : column)
}

/** The answer to a PREPARE, with parameters and columns. */
export function renamedPrepared(answer: Buffer, shard: ShardView): Buffer {
  const change = changeOf(shard)
  return change === null ? answer : changedPrepared(answer, change)
}
