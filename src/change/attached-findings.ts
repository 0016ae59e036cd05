/**
 * What somebody else's servers that are to be targets cannot hold, by column (PROTOCOLS 1.12), and what stands in the way there already: found before anything is claimed or
 * made. A server that cannot be reached is told by the step that attaches it.
 */
import { isSwError, type SwError } from '../base/errors.ts'
import { crossFlavourFindings } from '../move/cross-flavour.ts'
import { preflightTarget } from '../move/preflight.ts'
import { existingTableFindings } from '../move/schema-copy.ts'
import { existingTableNotes } from '../move/target-notes.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { readSessionDefaults, type SessionDefaults } from '../mysql/session-defaults.ts'
import { quoteString } from '../sql/quote.ts'
import { defaultsNotes } from '../switch/check-defaults.ts'
import { readOwner } from '../switch/control-schema.ts'
import { switchErrors } from '../switch/errors.ts'
import { keys } from '../topology/keys.ts'
import type { Installation, ShardRecord } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { cascadesLogged, type Asked } from './cascade-check.ts'
import { changeErrors } from './errors.ts'
import type { ReshardSpec } from './reshard-spec.ts'
import type { Cascade } from './source-checks.ts'
import { connectToAttach, withServer, type World } from './servers.ts'

export type Passwords = { readonly [server: string]: string }

export async function attachedFindings(
  world: World,
  source: ShardRecord,
  tables: readonly string[],
  servers: NonNullable<ReshardSpec['targetServers']>,
  passwords: Passwords,
  shards: readonly { readonly shard: string; readonly serverId: string; readonly schema: string }[],
  cascades: readonly Cascade[],
  asked: Asked,
  /** Of the sources, by servers' ids. */
  defaults: ReadonlyMap<string, SessionDefaults>,
): Promise<{ errors: SwError[]; notes: string[] }> {
  const errors: SwError[] = []
  const notes: string[] = []
  const installation = await readRecord<Installation>(world.store, keys.installation)
  for (const address of servers) {
    const id = `${address.host}:${address.port}`
    const target = await connectToAttach(world, id, { ...address, password: passwords[id] ?? '' }).catch((error: unknown) => {
      if (!isSwError(error)) throw error
      return null
    })
    if (target === null) continue
    try {
      // Before anything is tried there. Who may not read it cannot attach the server either, which says so.
      const owner = await readOwner(target).catch((error: unknown) => {
        if (!isServerError(error)) throw error
        return null
      })
      if (owner !== null && owner.installation !== installation?.value.id) {
        errors.push(switchErrors.foreignInstallation({ server: id, other: owner.installation }))
        continue
      }
      const logged = await cascadesLogged(target, id, cascades.length, asked)
      notes.push(...logged.notes, ...defaultsNotes(defaults, new Map([[id, await readSessionDefaults(target)]])))
      if (cascades.length > 0 && !logged.logs)
        errors.push(...cascades.map((cascade) => changeErrors.cascadeHiddenBack({ server: id, ...cascade })))
      await withServer(world.store, source.serverId, 'admin', async (from) => {
        errors.push(...(await crossFlavourFindings(from, source.schema, tables, target)))
        const [here, there] = [await connectionsMax(from), await connectionsMax(target)]
        if (there < here) notes.push(`${id} takes ${there} connections, ${source.serverId} ${here} (max_connections)`)
        for (const { shard, schema } of shards.filter(({ serverId }) => serverId === id)) {
          if ((await target.value(`SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteString(schema)}`)) === undefined)
            continue
          errors.push(...(await preflightTarget(target, schema, shard, tables)))
          const there = { conn: target, schema, name: shard }
          errors.push(...(await existingTableFindings({ conn: from, schema: source.schema }, there, tables)))
          notes.push(...(await existingTableNotes({ conn: from, schema: source.schema }, there, tables)))
        }
      })
    } finally {
      await target.close()
    }
  }
  return { errors, notes }
}

async function connectionsMax(connection: Connection): Promise<number> {
  return Number(await connection.value('SELECT @@GLOBAL.max_connections'))
}
