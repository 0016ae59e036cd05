/**
 * What makes a server one of ours: our three accounts, the control tables, and whose it is. Idempotent. The accounts' passwords are
 * made by the caller and are stored before this is called, so that a repetition finds the same ones.
 */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { ServerSecret } from '../topology/records.ts'
import { quoteString } from '../sql/quote.ts'
import { ensureControlTables, ownServer } from './control-schema.ts'
import { switchErrors } from './errors.ts'

export type AttachRequest = {
  readonly serverId: string
  readonly installationId: string
  readonly secret: ServerSecret
  /** A server that we provision has no other account: root and whatever the template brought are dropped. */
  readonly otherAccounts: 'keep' | 'drop'
}

/** `admin` is a session with every privilege. SW-SWITCH-004 when the server is another installation's. */
export async function attachServer(admin: Connection, request: AttachRequest): Promise<void> {
  const { serverId, installationId, secret } = request
  const flavour = flavourOf(admin)
  const owner = await ownServer(admin, installationId, serverId)
  if (owner.installation !== installationId) throw switchErrors.foreignInstallation({ server: serverId, other: owner.installation })
  await ensureControlTables(admin)
  // An anonymous account is more specific for local clients than ours at '%', and would be taken for them.
  const anonymous = (await flavour.accounts(admin)).filter((account) => account.user === '')
  const hosts = ['%', ...(request.otherAccounts === 'drop' ? [] : anonymous.map((account) => account.host))]
  for (const host of new Set(hosts)) {
    for (const role of ['admin', 'mover', 'gate'] as const) {
      for (const sql of flavour.accountStatements(role, secret[role], { host })) await admin.query(sql)
    }
  }
  if (request.otherAccounts === 'keep') return
  const ours = new Set([secret.admin.user, secret.mover.user, secret.gate.user])
  for (const account of await flavour.accounts(admin)) {
    if (!ours.has(account.user)) await admin.query(`DROP USER ${quoteString(account.user)}@${quoteString(account.host)}`)
  }
}
