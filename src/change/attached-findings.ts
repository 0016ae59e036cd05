/**
 * What somebody else's servers that are to be targets cannot hold, by column (PROTOCOLS 1.12): found before anything is claimed or made. A server that
 * cannot be reached is told by the step that attaches it.
 */
import { isSwError, type SwError } from '../base/errors.ts'
import { crossFlavourFindings } from '../move/cross-flavour.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { ReshardSpec } from './reshard-spec.ts'
import { connectToAttach, withServer, type World } from './servers.ts'

export type Passwords = { readonly [server: string]: string }

export async function attachedFindings(
  world: World,
  source: ShardRecord,
  tables: readonly string[],
  servers: NonNullable<ReshardSpec['targetServers']>,
  passwords: Passwords,
): Promise<SwError[]> {
  const errors: SwError[] = []
  for (const address of servers) {
    const id = `${address.host}:${address.port}`
    const target = await connectToAttach(world, id, { ...address, password: passwords[id] ?? '' }).catch((error: unknown) => {
      if (!isSwError(error)) throw error
      return null
    })
    if (target === null) continue
    try {
      await withServer(world.store, source.serverId, 'admin', async (from) => {
        errors.push(...(await crossFlavourFindings(from, source.schema, tables, target)))
      })
    } finally {
      await target.close()
    }
  }
  return errors
}
