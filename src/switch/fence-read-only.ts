/** read_only=1 on a server where others write: setting it waits for them, and must not wait long. */
import type { Clock } from '../base/clock.ts'
import { isServerError } from '../mysql/errors.ts'
import type { ClaimedServer } from './claim.ts'
import { switchErrors } from './errors.ts'
import { connectAs } from './server-access.ts'
import { isOpen, killSessions, listClientSessions } from './sessions.ts'
import type { ClientSession } from './sessions.ts'

/**
 * Waits for statements that write. MySQL: also for those that queue behind our own table locks; they are interrupted (1317: not applied). Both:
 * for one that waits for a row of a transaction that stays idle; transactions are ended a moment later anyway, so they are ended here.
 * Returns whom it ended.
 */
export async function setReadOnly(
  server: ClaimedServer,
  allowUnfenced: readonly string[],
  clock: Clock,
  scope: 'GLOBAL' | 'PERSIST',
): Promise<ClientSession[]> {
  const { connection, ours, serverId } = server
  let settled = false
  const setting = connection.query(`SET ${scope} read_only = 1`).finally(() => {
    settled = true
  })
  setting.catch(() => undefined)
  const ended: ClientSession[] = []
  try {
    await Promise.race([setting, clock.sleep(3)])
    if (!settled) {
      await using second = await connectAs(server.access, 'admin')
      const spare = new Set(allowUnfenced)
      for (let round = 0; !settled; round++) {
        const sessions = await listClientSessions(second, ours, spare)
        const waiting = sessions.filter((session) => /^waiting for/i.test(session.state))
        const open = round < 4 ? [] : sessions.filter((session) => isOpen(session) && session.command !== 'Killed')
        await killSessions(second, waiting, 'QUERY')
        await killSessions(second, open)
        ended.push(...open)
        await Promise.race([setting, clock.sleep(5)])
      }
    }
    await setting
    return ended
  } catch (error) {
    if (isServerError(error, 1227, 1238)) throw switchErrors.readOnlyRefused({ server: serverId, reason: error.serverMessage }, error)
    throw error
  }
}
