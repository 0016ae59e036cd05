/**
 * DDL on a table that a stream moves would stop the stream (docs/ddl.md), and with it the change, or the way back from it: refused before it runs. A stream that is told to
 * carry DDL, or to pass it over, has said what is wanted. Asked of the topology when there is DDL, which is rare; a stream that is made just then stops at the statement itself.
 */
import type { Statement } from '../sql/ast.ts'
import type { Lexed } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import type { Runner } from './runner.ts'

type DdlStatement = Extract<Statement, { kind: 'ddl' }>
const ofTables = new Set(['TABLE', 'INDEX', 'DATABASE'])

/** @param object the kind of what the names are of. Errors: SW-GATE-039 */
export async function refuseMoved(core: Core, keyspace: string, object: string, names: readonly string[]): Promise<void> {
  if (!ofTables.has(object)) return
  const serving = new Set(core.watch.view.keyspaces.get(keyspace)?.shards.map((shard) => shard.uid))
  const named = new Set(names.map((name) => name.toLowerCase()))
  for (const stream of await core.watch.streams()) {
    if (!serving.has(stream.source.uid) || stream.options.onDdl !== 'stop') continue
    const table = stream.tables.find(({ name }) => object === 'DATABASE' || named.has(name.toLowerCase()))
    if (table === undefined) continue
    const { workflow } = stream
    throw gateErrors.movedDdl({ table: table.name, workflow, keyspace: stream.keyspace })
  }
}

type Ddl = {
  readonly object: string
  readonly tells: boolean
  readonly names: readonly { readonly keyspace: string; readonly name: string }[]
}

/** What a text does to tables of unsharded keyspaces (sharded ones are planned); null: nothing, or it is not understood, which is the server's to say. */
export function ddlOf(core: Core, session: string, lexed: Lexed): Ddl | null {
  try {
    const statement = parse(lexed)
    if (statement.kind !== 'ddl') return null
    const names = statement.names.flatMap(({ schema, name }) => {
      const keyspace = core.watch.view.keyspaces.get(statement.object === 'DATABASE' ? name.text : (schema?.text ?? session))?.record
      return keyspace === undefined || keyspace.sharded ? [] : [{ keyspace: keyspace.name, name: name.text }]
    })
    return names.length === 0 ? null : { object: statement.object, tells: changesPlans(statement), names }
  } catch {
    return null
  }
}

/** Whether plans may be others afterwards, which every gate makes anew then. The rows that TRUNCATE takes are in none. */
function changesPlans({ verb, object, temporary }: Pick<DdlStatement, 'verb' | 'object' | 'temporary'>): boolean {
  return verb !== 'truncate' && !temporary && planned.has(object)
}
const planned = new Set(['TABLE', 'INDEX', 'VIEW', 'DATABASE', 'FUNCTION', 'PACKAGE'])

async function refuseMovedOf(core: Core, { object, names }: Ddl): Promise<void> {
  for (const { keyspace, name } of names) await refuseMoved(core, keyspace, object, [name])
}

/** What ends the transaction first, as a server does; of tables that are moved, DDL is refused (SW-GATE-039); what ran is told to the other gates. */
export async function afterCommit(core: Core, runner: Pick<Runner, 'commit'>, ddl: Ddl | null, run: () => Promise<unknown>): Promise<void> {
  await runner.commit()
  if (ddl !== null) await refuseMovedOf(core, ddl)
  await run()
  if (ddl?.tells === true) await tellDdl(core, ddl)
}

/** What is known of their columns may be wrong now: a lookup's table stands in an unsharded keyspace, too. */
async function tellDdl(core: Core, { names }: Ddl): Promise<void> {
  for (const keyspace of new Set(names.map((one) => one.keyspace))) {
    core.catalog.forget(keyspace)
    await tellOthers(core, keyspace)
  }
}

/** Other gates read the columns anew. Where the topology does not answer they find out later: what depends on it asks the servers. */
export async function tellOthers(core: Core, keyspace: string): Promise<void> {
  await core.membership.ddl(keyspace).catch((error: unknown) => {
    core.log.warn({ keyspace, error: String(error) }, 'other gates could not be told of a DDL')
  })
}
