/** Claims, and the table locks of step 4. */
import type { Mutation } from './mutation.ts'

const claim = { file: 'src/switch/claim.ts', test: 'src/switch/claim.db.test.ts' } as const
const locks = { file: 'src/switch/session-locks.ts', test: 'src/switch/session-locks.db.test.ts' } as const

const claims: Mutation[] = [
  {
    ...claim,
    rule: 'a claim ends the session that holds the lock',
    edits: [['await connection.query(`KILL ${id}`).catch', 'await connection.query(`DO ${id}`).catch']],
    name: 'a newer claim ends the older session, its table locks and its running statement, before it has the lock',
    fails: /SW-SWITCH-00|did not end/,
  },
  {
    ...claim,
    rule: 'the token row is read first: an older leader harms nobody',
    edits: [['    if (owner.token > mine) throw', '    if (owner.token > mine + 1_000_000n) throw']],
    name: 'the token row refuses an older leader after a restart of the server, too',
    fails: /the session of the newer one is left alone/,
  },
  {
    ...claim,
    rule: 'the token row is raised under the lock, and only upwards',
    edits: [['WHERE id = 1 AND token <= ${mine}`', 'WHERE id = 1`']],
    name: 'a token that was raised between the look and the lock refuses',
    fails: /Missing expected rejection/,
  },
  {
    ...claim,
    rule: 'an effect whose session was lost is repeated on a new claim',
    edits: [['if (!lost || attempt === attemptsMax) throw error', 'throw error']],
    name: 'an effect whose session is lost is repeated on a new claim, but not when its work was cut',
    fails: /killed|lost|closed/i,
  },
  {
    ...claim,
    rule: 'a server of another installation is refused',
    edits: [['if (owner.installation !== installationId) throw', "if (owner.installation === '') throw"]],
    name: 'a server of another installation is refused',
    fails: /Missing expected rejection/,
  },
  {
    ...locks,
    rule: 'the claimed session must still answer after the lock session is there',
    edits: [["Number(await server.connection.value('SELECT UNIX_TIMESTAMP()'))", 'Math.floor(Date.now() / 1_000)']],
    name: 'with the claimed session gone no table is locked, also by who has not heard of it',
    fails: /Missing expected rejection/,
  },
]

const locking: Mutation[] = [
  {
    rule: 'a claim ends the session that holds the right to lock tables, too',
    file: claim.file,
    edits: [["for (const id of [row?.['ctl'], row?.['locks']])", "for (const id of [row?.['ctl']])"]],
    test: locks.test,
    name: 'a newer claim ends table locks that an older leader holds',
    fails: /1205/,
  },
  {
    ...locks,
    rule: 'attempts for the table locks are short',
    edits: [['this.#options.clock.sleep(attemptMs, timer.signal)', 'this.#options.clock.sleep(attemptMs * 9, timer.signal)']],
    name: 'while we wait for an idle transaction other writers of the table are held for one attempt, not for the wait',
    fails: /a writer waited/,
  },
  {
    ...locks,
    rule: 'a transaction that has been idle for long gets no grace while others wait',
    edits: [
      [
        'const victims = graceOver ? blockers : blockers.filter(abandoned)',
        'const victims = graceOver || abandoned === null ? blockers : []',
      ],
    ],
    name: 'a transaction that has been idle for long gets no grace while others wait',
    fails: /the tables were locked after/,
  },
  {
    ...locks,
    rule: 'what blocks is ended after the grace',
    edits: [['        await killSessions(server.connection, victims)\n', '']],
    name: 'an idle transaction is ended after the grace, and named',
    fails: /SW-SWITCH-006/,
  },
  {
    ...locks,
    rule: 'a transaction within the grace is not ended',
    edits: [['const graceOver = clock.monotonicMs() - startedMs >= graceMs', 'const graceOver = clock.monotonicMs() >= startedMs']],
    name: 'a transaction that ends within the grace is not killed, and keeps its rows',
    fails: /./,
  },
  {
    ...locks,
    rule: 'autocommit=0: prepared XA transactions hold the table locks off',
    edits: [['SET SESSION autocommit = 0, wait_timeout', 'SET SESSION autocommit = 1, wait_timeout']],
    name: 'a prepared XA transaction holds them off: its outcome could change rows',
    fails: /Missing expected rejection/,
    only: 'mariadb',
  },
  {
    ...locks,
    rule: 'a paused holder loses its locks',
    edits: [['wait_timeout = ${leaseS}, lock_wait_timeout', 'wait_timeout = 604800, lock_wait_timeout']],
    name: 'promise 9: a holder that stopped (no pings) loses its locks by the server’s own clock',
    fails: /1205|waited/,
  },
]

export const claimMutations: readonly Mutation[] = [...claims, ...locking]
