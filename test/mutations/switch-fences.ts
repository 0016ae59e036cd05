/** Closing and opening a server, by each kind of fence. */
import type { Mutation } from './mutation.ts'

const fence = { file: 'src/switch/fence.ts', test: 'src/switch/fence.db.test.ts' } as const
const kinds = { test: 'src/switch/fence-conformance.db.test.ts', name: 'nobody writes: bypassing clients, open transactions, every privilege, an event, a restart' } as const // prettier-ignore
const locks = { file: 'src/switch/session-locks.ts', test: 'src/switch/session-locks.db.test.ts' } as const
const effects = 'src/switch/effects.real.ts'
const fenceSwitch = 'src/switch/fence-switch.db.test.ts'
const strays = { file: 'src/switch/strays.ts', test: 'src/switch/strays.db.test.ts', whole: true } as const
const laying = `  if (toLock.length > 0)
    await withoutBinlog(
      connection,
      toLock.map((account) => flavourOf(connection).lockAccount(account)),
    )
  await failpoint('fence.accountsLocked')
`

const closing: Mutation[] = [
  {
    ...fence,
    rule: 'closing locks the client accounts',
    edits: [
      [
        '  return accounts.filter(\n    (account) =>\n      account.user !== ours.admin',
        '  return accounts.filter(\n    (account) =>\n      account.user === ours.admin && account.user !== ours.admin',
      ],
    ],
    name: 'kill -9 and restart: still closed, without anybody doing anything; open by its own list',
    fails: /Missing expected rejection/,
  },
  {
    ...fence,
    rule: 'of ours the gate is locked, too',
    edits: [
      [
        'account.user !== ours.mover && !account.replicates',
        'account.user !== ours.mover && account.user !== ours.gate && !account.replicates',
      ],
    ],
    name: 'promise 2: whoever was connected, whatever their privileges, and whoever comes: nobody writes; our applier does',
    fails: /the gates are clients, too/,
  },
  {
    ...fence,
    rule: 'replication accounts are never locked',
    edits: [['account.user !== ours.mover && !account.replicates', 'account.user !== ours.mover']],
    name: 'promise 2: whoever was connected, whatever their privileges, and whoever comes: nobody writes; our applier does',
    fails: /4151|3118/,
  },
  {
    ...fence,
    rule: 'accounts first, read_only second',
    edits: [
      [
        laying,
        "  if (note.kind === 'locks') await connection.query('SET GLOBAL read_only = 1')\n  await failpoint('fence.accountsLocked')\n",
      ],
      [
        '  // In this order: who has logged in between the two is in the second.\n  const [entering',
        laying.replace(/  await failpoint.*\n/, '') + '  const [entering',
      ],
    ],
    name: 'a restart between the two effects of closing leaves it closed',
    fails: /Missing expected rejection/,
  },
  {
    ...fence,
    rule: 'read_only stops the sessions that live',
    edits: [["note.kind === 'kill' ? [] : await setReadOnly", "note.kind !== 'persist' ? [] : await setReadOnly"]],
    name: 'promise 2: whoever was connected, whatever their privileges, and whoever comes: nobody writes; our applier does',
    fails: /Missing expected rejection/,
  },
  {
    ...fence,
    rule: 'sessions with an open transaction are ended',
    edits: [['isOpen(session) || passing.includes(session)', 'passing.includes(session)']],
    name: 'promise 2: whoever was connected, whatever their privileges, and whoever comes: nobody writes; our applier does',
    fails: /killed\.some/,
  },
  {
    ...fence,
    rule: 'sessions that only read go on until step 10',
    edits: [['isOpen(session) || passing.includes(session)', 'session.id > 0 || passing.includes(session)']],
    name: 'promise 2: whoever was connected, whatever their privileges, and whoever comes: nobody writes; our applier does',
    fails: /SW-MYSQL-00[23]|validation|1290/,
  },
  {
    rule: 'targets are closed from their creation on',
    file: 'src/change/reshard.ts',
    edits: [['    await closeServer(claimed, { allowUnfenced, schemas }, context.clock)\n', '']],
    test: 'src/change/attached.db.test.ts',
    name: 'promise 12: cancel drops what the workflow made, and empties what stood there empty before',
    narrow: /cancel drops what the workflow made/,
    fails: /closed from creation on/,
  },
  {
    rule: 'the old primary is closed before another one is',
    file: 'src/change/set-primary.ts',
    edits: [['      await pool.run(old, (server) => closeServer(server, { allowUnfenced }, clock))\n', '']],
    test: 'src/change/replicas.db.test.ts',
    name: 'promises 1, 2: the primary changes under writes and a running stream: none is lost, the old one is closed first, the stream goes on',
    whole: true,
    fails: /acknowledged and lost|takes no clients|Missing expected rejection/,
  },
  {
    ...fence,
    rule: 'sessions that read_only does not stop are ended',
    edits: [['  return (session) => users.has(session.user)', '  return (session) => users.has(session.user) && session.id < 0']],
    name: 'promise 2: whoever was connected, whatever their privileges, and whoever comes: nobody writes; our applier does',
    fails: /a session that passes read_only was ended/,
  },
  {
    ...fence,
    rule: 'account locks do not reach the replicas',
    edits: [
      ["connection.pipelineSettled(['SET SESSION sql_log_bin = 0', ...statements", "connection.pipelineSettled(['DO 0', ...statements"],
    ],
    name: 'account locks do not reach the binlog, markers do',
    fails: /an ALTER USER would lock the replicas/,
  },
  {
    ...fence,
    rule: 'the session logs again afterwards, or a marker would never be drained',
    edits: [["...statements, 'SET SESSION sql_log_bin = 1']", "...statements, 'DO 0']"]],
    name: 'account locks do not reach the binlog, markers do',
    fails: /'0'/,
  },
  {
    ...fence,
    rule: 'opening unlocks what we locked and nothing else',
    edits: [['account.locked && (byUs.has(accountName(account)) || account.user === ours.gate)', 'account.locked && byUs.size >= 0']],
    name: 'closing twice, opening twice; what was locked before us stays locked',
    fails: /Missing expected rejection|1045/,
  },
  {
    ...fence,
    rule: 'what is locked is written on the server before',
    edits: [['  if (toLock.length > 0) {\n    const rows', '  if (toLock.length > 99) {\n    const rows']],
    name: 'closing twice, opening twice; what was locked before us stays locked',
    fails: /4151|3118/,
  },
  {
    ...fence,
    rule: 'opening: read_only first, unlock last',
    edits: [
      [
        '  // The other kinds did not set it.\n',
        '  await withoutBinlog(connection, locked.accounts.map((account) => flavourOf(connection).unlockAccount(account)))\n',
      ],
    ],
    name: 'a crash between the two effects of opening leaves it closed to whoever is not connected, and open can be repeated',
    fails: /Missing expected rejection/,
  },
  {
    ...fence,
    rule: 'a procedure with the rights of who passes read_only lets no session stay',
    edits: [['  if (privileged.some((account) => definers.has(accountName(account)))) return () => true\n', '']],
    name: 'promise 2: a procedure with an administrator’s rights passes read_only: where there is one, no session stays',
    fails: /Missing expected rejection/,
  },
  {
    ...fence,
    rule: 'an account allowed by name is left alone',
    edits: [[' && !allowUnfenced.includes(accountName(account)),', ',']],
    name: 'an account allowed by name is neither locked nor ended',
    fails: /Server|lost|closed|killed|falsy/i,
  },
  {
    rule: 'read_only does not wait for writers queued behind our own locks',
    file: 'src/switch/fence-read-only.ts',
    edits: [["await killSessions(second, waiting, 'QUERY')", 'void waiting']],
    test: 'src/switch/fence.db.test.ts',
    name: 'a writer that queues behind our own table locks does not hold up read_only',
    fails: /closing took|1205|timed out/,
    only: 'mysql',
  },
]

const byKind: Mutation[] = [
  {
    ...kinds,
    rule: 'by kill: every session is ended, whatever it does',
    file: fence.file,
    edits: [
      ["const passing = note.kind === 'kill' ? state.sessions : state.passing", 'const passing = state.passing'],
      ["const passing = kind === 'kill' ? state.sessions : state.passing", 'const passing = state.passing'],
    ],
    narrow: /closed by kill/,
    fails: /client sessions/,
  },
  {
    rule: 'by kill: looked at again until no client session is left',
    file: fence.file,
    edits: [['  if (passing.length + entering.length > 0) await untilNonePasses(', '  if (passing.length < 0) await untilNonePasses(']],
    test: kinds.test,
    name: 'by kill it stands once the killed are gone: what they last sent may still be under way',
    fails: /deep-equal/,
    only: 'mariadb',
  },
  {
    ...kinds,
    rule: 'by persist: the setting survives a restart',
    file: fence.file,
    edits: [["note.kind === 'persist' ? 'PERSIST' : 'GLOBAL'", "'GLOBAL'"]],
    narrow: /closed by persist/,
    fails: /closed after a restart/,
    only: 'mysql',
  },
  {
    rule: 'by triggers: the armed row is read in share mode, which no older snapshot passes',
    file: 'src/switch/fence-triggers.ts',
    edits: [["const lock = 'LOCK IN SHARE MODE'", "const lock = ''"]],
    test: kinds.test,
    name: 'by triggers, beside somebody else’s schema: who was let in before is ended, an older snapshot does not pass, a missing row refuses',
    fails: /it would commit behind the fence/,
    only: 'mariadb',
  },
  {
    rule: 'by triggers: a missing row refuses',
    file: 'src/switch/fence-triggers.ts',
    edits: [['${lock}), 1) = 1 THEN', '${lock}), 0) = 1 THEN']],
    test: kinds.test,
    name: 'by triggers, beside somebody else’s schema: who was let in before is ended, an older snapshot does not pass, a missing row refuses',
    fails: /Missing expected rejection/,
  },
  {
    ...kinds,
    rule: 'by triggers: our accounts are told by USER()',
    file: 'src/switch/fence-triggers.ts',
    edits: [["IF SUBSTRING_INDEX(USER(), '@', 1)", "IF SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"]],
    narrow: /closed by triggers/,
    fails: /Missing expected rejection/,
  },
  {
    ...kinds,
    rule: 'events are disabled',
    file: fence.file,
    edits: [['  await disableEvents(server, events, clock)\n', '']],
    narrow: /closed by locks/,
    fails: /events are enabled|no row came while it stood closed/,
  },
  {
    ...kinds,
    rule: 'opening enables the events that the fence disabled',
    file: fence.file,
    edits: [["...events.map((event) => alterEvent(event, 'ENABLE')),", '']],
    narrow: /closed by locks/,
    fails: /the event that the fence disabled is enabled again/,
  },
  {
    rule: 'a table that came after the triggers is an open door',
    file: fence.file,
    edits: [['    say((triggers?.bare.length ?? 0) > 0, ', '    say((triggers?.bare.length ?? 0) > 99, ']],
    test: kinds.test,
    name: 'a table that came after the triggers is an open door, and told',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'the strongest fence that fits is chosen',
    file: 'src/switch/fence-choice.ts',
    edits: [['if (locks && readOnly) return', 'if (locks) return']],
    test: kinds.test,
    name: 'the strongest that the privileges of our account allow is chosen, and why no stronger one is said',
    fails: /'locks'/,
  },
  {
    rule: 'with no fence that fits the switch is refused',
    file: 'src/switch/fence-choice.ts',
    edits: [
      [
        "if ((await privileges(connection)).has('TRIGGER')) return { kind: 'triggers', why }",
        "if (why.length > 0) return { kind: 'triggers', why }",
      ],
    ],
    test: kinds.test,
    name: 'the strongest that the privileges of our account allow is chosen, and why no stronger one is said',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'opening undoes the kind that stands there',
    file: fence.file,
    edits: [["  if (note?.kind === 'triggers') await disarmTriggers(connection, schemas ?? note.schemas)\n", '']],
    test: fenceSwitch,
    name: 'there and back by ${kind}, under writes on both sides',
    narrow: /there and back by triggers/,
    fails: /./,
  },
  {
    rule: 'under armed triggers table locks stay until the decision',
    file: effects,
    edits: [["if (this.#plan.fence !== 'triggers') await this.#releaseLocks()", 'await this.#releaseLocks()']],
    test: fenceSwitch,
    name: 'TRUNCATE passes armed triggers: between the fence and the decision it waits, and is interrupted or comes too late',
    fails: /TRUNCATE to wait for the table locks|SW-SWITCH-007/,
  },
  {
    rule: 'DDL that waits for the table locks is interrupted before they go',
    file: locks.file,
    edits: [['if (this.#options.only !== undefined && this.#session.open) await', 'if (this.#options.only?.length === 99) await']],
    test: fenceSwitch,
    name: 'TRUNCATE passes armed triggers: between the fence and the decision it waits, and is interrupted or comes too late',
    fails: /it is told that it did not run/,
  },
  {
    rule: 'the table locks are asked for just before the decision',
    file: effects,
    edits: [
      [
        "    if (outcome === 'switched' && this.#plan.fence === 'triggers') await settled(this.#locks.map((locks) => locks.requireHeld()))\n",
        '',
      ],
    ],
    test: fenceSwitch,
    name: 'the session whose table locks hold DDL off is lost before the decision: given up',
    fails: /'switched'/,
  },
  {
    rule: 'DDL on the side that comes is searched for before the streams back begin',
    file: effects,
    edits: [['    await this.#untouched()\n', '']],
    test: fenceSwitch,
    name: 'TRUNCATE on the side that is to serve: no switch goes there, however often it is asked for',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'DDL on the side that is closed for good raises an alarm',
    file: strays.file,
    edits: [['const asDdl = open === null && !byName && (await', 'const asDdl = open !== null && !byName && (await']],
    test: fenceSwitch,
    name: 'an ALARM names it, the workflow is stopped, and no switch goes back over it',
    fails: /did not match|match/,
  },
]

export const fenceMutations: readonly Mutation[] = [...closing, ...byKind]
