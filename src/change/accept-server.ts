/**
 * Another server at a known address is taken for the one that was attached (mysql/server-identity.ts): at the operator's word only, who knows that it has
 * what the first one acknowledged. Streams that read it or write to it look for themselves (PROTOCOLS 1.10): its markers and its position must be theirs.
 */
import { readIdentity } from '../mysql/server-identity.ts'
import { readOwner } from '../switch/control-schema.ts'
import { switchErrors } from '../switch/errors.ts'
import { keys } from '../topology/keys.ts'
import type { Installation, ServerRecord, ServerSecret } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import { readRecord, updateRecord } from '../topology/typed.ts'
import { AuditTrail } from '../workflow/audit.ts'
import { changeErrors } from './errors.ts'
import { shardLog } from './replicas.ts'
import { reach, shardsOn, type World } from './servers.ts'

/** It stands in the logs of its shards. SW-CHANGE-012 when it cannot be reached, SW-SWITCH-004 when another installation owns it. */
export async function acceptServer(
  { store, clock, log }: Pick<World, 'store' | 'clock' | 'log'>,
  { server: id, actor }: { server: string; actor: string },
): Promise<{ was: string; is: string }> {
  const record = await readRecord<ServerRecord>(store, keys.server(id))
  const secret = await readRecord<ServerSecret>(store, keys.secret(id))
  const installation = await readRecord<Installation>(store, keys.installation)
  if (record === null || secret === null || installation === null) throw changeErrors.noServer({ server: id })
  const { identity: was = '', ...unidentified } = record.value
  const connection = await reach(id, { ...placeOfServer(unidentified), ...secret.value.admin })
  try {
    const owner = await readOwner(connection)
    if (owner?.installation !== installation.value.id)
      throw switchErrors.foreignInstallation({ server: id, other: owner?.installation ?? 'nobody' })
    const is = await readIdentity(connection)
    await updateRecord<ServerRecord>(store, keys.server(id), (server) => (server === null ? null : { ...server, identity: is }))
    for (const { keyspace, name } of await shardsOn(store, id)) {
      const trail = new AuditTrail({ store, clock, log, keyspace, workflow: shardLog(name), actor, verb: 'accept', action: '' })
      trail.append('outcome', `server accept ${id}`, { inputs: { was, is }, outcome: 'done' })
      await trail.flush()
    }
    return { was, is }
  } finally {
    await connection.close()
  }
}
