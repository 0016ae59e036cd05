/** COMMIT and ROLLBACK of one branch, and COMMIT of several by XA: xa.ts says why it is right. */
import { isConnectionLost, isServerError } from '../mysql/errors.ts'
import { gateErrors } from './errors.ts'
import { innerConnection } from './inner-statements.ts'
import { Within } from './within.ts'
import { shardName, type Branch } from './transaction.ts'
import type { Holder } from './backend.ts'
import type { Core } from './core.ts'
import type { ShardView } from './view.ts'

/** In one phase. */
export async function commitBranch({ backend: { connection }, xid }: Branch): Promise<void> {
  if (xid === null) await connection.query('COMMIT')
  else {
    await connection.query(`XA END ${xid}`)
    await connection.query(`XA COMMIT ${xid} ONE PHASE`)
  }
}

/** What can't be rolled back is cut off: the server does it then, or, once prepared, whoever looks for what is in doubt. */
export async function rollbackBranch({ backend: { connection }, xid, prepared }: Branch): Promise<void> {
  try {
    if (!connection.open) return
    if (xid === null) await connection.query('ROLLBACK')
    else {
      // Refused where the server has rolled back already (1614 after a deadlock), or it was ended before.
      if (!prepared) await connection.query(`XA END ${xid}`).catch(() => {})
      await connection.query(`XA ROLLBACK ${xid}`)
    }
  } catch {
    connection.destroy()
  }
}

/**
 * @param branches those that wrote, but the decider's
 * @param own the decider's branch, when the decision goes with it
 * @param holder the session whose transaction it is
 * @returns the decision stands; a branch that has not told that it is committed is committed by whoever looks for what is in doubt
 * @throws nothing is committed and nothing will be; SW-GATE-009: not known
 */
export async function commitByXa(
  core: Core,
  gtrid: string,
  decider: ShardView,
  branches: readonly Branch[],
  own: Branch | null,
  holder: Holder,
): Promise<void> {
  const { xa } = core
  xa.active.add(gtrid)
  try {
    await xa.ensure(decider, null, holder)
    for (const branch of branches) {
      await branch.backend.connection.query(`XA END ${branch.xid}`)
      await branch.backend.connection.query(`XA PREPARE ${branch.xid}`)
      branch.prepared = true
      if (branch === branches[0]) await xa.reached('prepared-one')
    }
    await xa.reached('prepared-all')
    await decide(core, gtrid, decider, own, holder)
    await xa.reached('decided')
    const ended = await Promise.all(
      branches.map(async (branch, i) => {
        if (i > 0 && branches.length > 1) await xa.reached('committed-one')
        return await finish(core, branch)
      }),
    )
    // Of a branch that may be prepared still, the decision is all that tells its outcome: without it, it would be rolled back.
    if (ended.every(Boolean)) xa.finished(gtrid, decider)
  } finally {
    xa.active.delete(gtrid)
  }
}

async function decide(core: Core, gtrid: string, decider: ShardView, own: Branch | null, holder: Holder): Promise<void> {
  const { xa } = core
  let committing = false
  try {
    if (own === null) {
      const backend = await innerConnection(core, decider, undefined, null, holder)
      try {
        await xa.decide(backend.connection, gtrid, decider)
      } finally {
        backend.pool.give(backend)
      }
      return
    }
    await xa.decide(own.backend.connection, gtrid, decider)
    await xa.reached('decision-written')
    committing = true
    await own.backend.connection.query('COMMIT')
  } catch (error) {
    if (isServerError(error, 1062))
      throw gateErrors.lostTransaction({ shard: shardName(decider), cause: 'it was given up by another gate' }, error)
    if (!mayStand(error, committing)) throw error
    // Were it open still, judging would wait for it.
    if (own !== null) await rollbackBranch(own)
    // The commit may stand: whoever inserts first under this id has decided.
    const outcome = await xa.judge(gtrid, decider, null, holder).catch((cause: unknown) => {
      throw gateErrors.unknownOutcome({ shard: shardName(decider), cause: 'during COMMIT' }, cause)
    })
    if (outcome === 'rollback') throw gateErrors.lostTransaction({ shard: shardName(decider), cause: 'during COMMIT' }, error)
  }
}

/**
 * Whether a decision of which this came may have been committed. Refused for certain are: what was not sent, a COMMIT that met read_only, a deadlock. A KILL or a shutdown that
 * reaches a session while it commits says nothing of the commit.
 * @param committing it came of COMMIT itself; of an INSERT in autocommit all that a server says otherwise is said before it commits
 */
function mayStand(error: unknown, committing: boolean): boolean {
  if (isConnectionLost(error)) return error.outcome !== 'nothingSent'
  if (!isServerError(error)) return false
  if (error.kind === 'killed' || error.kind === 'interrupted') return true
  return committing && error.kind !== 'readOnly' && error.kind !== 'deadlock'
}

/** It is decided. A server that says nothing is waited for no longer than one that is gone. @returns whether the server has said that the branch is committed */
async function finish(core: Core, branch: Branch): Promise<boolean> {
  const within = new Within(core, core.config.xaFinishMs)
  try {
    return await within.wait(commitDecided(core, branch, within))
  } catch {
    return false
  } finally {
    within.end()
  }
}

async function commitDecided(core: Core, { backend, shard, xid }: Branch, within: Within): Promise<boolean> {
  try {
    within.uses(backend.connection)
    await backend.connection.query(`XA COMMIT ${xid}`)
    return true
  } catch {
    backend.connection.destroy()
  }
  while (!within.over) {
    try {
      const other = await innerConnection(core, shard)
      within.uses(other.connection)
      try {
        await other.connection.query(`XA COMMIT ${xid}`)
        return true
      } finally {
        within.done(other.connection)
        other.pool.give(other)
      }
    } catch {
      // 1397: not there any more, or still with the connection that was cut a moment ago: nobody can tell which.
      await core.clock.sleep(50)
    }
  }
  return false
}
