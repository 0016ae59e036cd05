/** Transactions of the gate, and what sessions leave behind. */
import type { Mutation } from './mutation.ts'

const xa = 'src/gate/xa.db.test.ts'
const doubt = 'src/gate/xa-doubt.db.test.ts'
const commit = 'src/gate/commit.db.test.ts'
const lookup = 'src/gate/lookup.db.test.ts'
const idle = 'src/gate/idle.db.test.ts'
const beside = 'src/gate/unsharded-beside.db.test.ts'
const failed = 'src/gate/failed-statements.db.test.ts'
const heldLocks = 'rows locked on ${how} stay locked until what the transaction wrote elsewhere is committed'
const lostLocks = 'a transaction that lost its locks on ${how} commits nothing'

const atomic: Mutation[] = [
  {
    rule: 'a decision stays while a branch has not said that it is committed',
    file: 'src/gate/xa-commit.ts',
    edits: [['if (ended.every(Boolean)) xa.finished(gtrid, decider)', 'xa.finished(gtrid, decider)']],
    test: doubt,
    name: 'promise 1: a decision stays while a branch is not committed: its server comes back after the client has its OK',
    fails: /'0'/,
  },
  {
    rule: 'an old decision goes only when all servers have said that nothing is prepared there',
    file: 'src/gate/xa-recovery.ts',
    edits: [['if (!complete || (this.#purgedMs', 'if ((this.#purgedMs']],
    test: doubt,
    name: 'promise 1: a decision stays while a server is not asked whether a branch is prepared there; an old one goes when none is',
    fails: /'0'/,
  },
  {
    rule: 'a KILL that reaches the deciding COMMIT says nothing of it',
    file: 'src/gate/xa-commit.ts',
    edits: [['if (!isServerError(error)) return false', 'return false']],
    test: doubt,
    name: "promise 1, 11: a KILL that reaches the deciding COMMIT says nothing of it: ${stands ? 'it stands' : 'it does not stand'}, and all obey",
    narrow: /says nothing of it: it stands/,
    fails: /interrupted/,
  },
  {
    rule: 'with one keyspace whose transactions are atomic, every further branch is made part of that',
    file: 'src/gate/transaction.ts',
    edits: [
      [
        'if (![...this.branches.values()].some(({ shard }) => xa.wanted(shard.keyspace))) return null',
        'if (!xa.wanted(branch.shard.keyspace)) return null',
      ],
    ],
    test: xa,
    name: 'promise 1: what a transaction wrote in a keyspace that is not atomic stands or falls with the rest',
    fails: /SW-GATE-041/,
  },
  {
    rule: 'what wrote and could only commit by itself refuses the COMMIT',
    file: 'src/gate/transaction.ts',
    edits: [['if (alone !== undefined) {', 'if (alone !== undefined && performance.now() < 0) {']],
    test: xa,
    name: 'promise 1: where that can not be, as it began before, the COMMIT is refused and nothing stands',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'a branch that XA START began has its snapshot too',
    file: 'src/gate/runner.ts',
    edits: [['await this.core.xa.takeSnapshot(branch.shard, backend.connection, this.connections)', 'void 0']],
    test: xa,
    name: 'promise 10: WITH CONSISTENT SNAPSHOT shows every shard as it stood, and keeps no table from DDL',
    fails: /'0'/,
  },
]

const held: Mutation[] = [
  {
    rule: 'a COMMIT that stopped half way names every shard for what stands there',
    file: 'src/gate/transaction.ts',
    edits: [['writers.slice(committed.length + 1)', '[]']],
    test: commit,
    name: 'promise 11: of a COMMIT that stopped half way, every shard is named for what stands there',
    fails: /committed on/,
  },
  {
    rule: 'locks are asked for before anything is committed',
    file: 'src/gate/transaction.ts',
    edits: [['if (branches.length > 1) await this.#requireLocks(holders)', 'void branches']],
    test: commit,
    name: lostLocks,
    fails: /Missing expected rejection/,
  },
  {
    rule: 'locks go after the last COMMIT of what was written',
    file: 'src/gate/transaction.ts',
    edits: [['branches.filter((b) => !b.wrote && !b.locked).map', 'branches.filter((b) => !b.wrote).map']],
    test: commit,
    name: heldLocks,
    fails: /its locks are free/,
  },
  {
    rule: 'what several shards lock is known to be locked',
    file: 'src/gate/scatter.ts',
    edits: [["if (branch !== null && options.effect === 'lock') branch.locked = true", 'void branch']],
    test: commit,
    name: lostLocks,
    narrow: /lost its locks on several shards commits/,
    fails: /Missing expected rejection/,
  },
  {
    rule: 'what is locked to be put together at one place is known to be locked',
    file: 'src/gate/gather-readers.ts',
    edits: [['if (branch !== undefined && locks) branch.locked = true', 'void branch']],
    test: commit,
    name: lostLocks,
    narrow: /lost its locks on several shards, put together/,
    fails: /Missing expected rejection/,
  },
  {
    rule: 'the decision does not release the locks of a branch that has nothing but locks',
    file: 'src/gate/transaction.ts',
    edits: [['(b.wrote || !b.locked)) ?? null', 'true) ?? null']],
    test: xa,
    name: 'rows that a transaction only locked stay locked until the last shard that it wrote on has committed',
    fails: /free/,
  },
]

const bounded: Mutation[] = [
  {
    rule: 'what is held of rows for their lookups is bounded',
    file: 'src/gate/kept-write.ts',
    edits: [['this.#held.add(entry', 'void (entry']],
    test: lookup,
    name: 'promise 8: a write that changes more than may be held of it for its lookups is refused, and nothing of it stands',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'rows of lookups whose row stands are swept by nobody',
    file: 'src/gate/lookup-writes.ts',
    edits: [['if (!(committed && group.made?.stand === true)) core', 'core']],
    test: lookup,
    name: 'a row that stands is swept by nobody, who would lock it against the next statement; what is rolled back is',
    fails: /strictly equal/,
  },
  {
    rule: 'a session that sends nothing is ended',
    file: 'src/gate/session.ts',
    edits: [['if (this.#closed || this.#toldMs !== null || this.#current !== null || this.#sinceMs > sinceMs) return', 'return']],
    test: idle,
    name: 'a session that sends nothing is ended, and its transaction; one that asks, or whose statement runs, is not',
    fails: /waited/,
  },
  {
    rule: 'a client whose machine is gone is asked for',
    file: 'src/gate/gate.ts',
    edits: [['keepAlive: true, ', '']],
    test: idle,
    name: 'a client whose machine is gone is found out: the kernel is told to ask',
    fails: /keepalive/,
  },
]

const refused: Mutation[] = [
  {
    rule: 'a writer that is known to be lost is looked for before anything is committed',
    file: 'src/gate/transaction.ts',
    edits: [['await this.#requireOpen(writers)', 'void 0']],
    test: commit,
    name: 'a transaction that lost one of its writers before COMMIT commits nothing',
    fails: /SW-GATE-202/,
  },
  {
    rule: 'what a failing routine may have left keeps its connection with the session, in a transaction too',
    file: 'src/gate/failed-statements.ts',
    edits: [
      [
        '  if (request.pins.length > 0) runner.connections.pin(backend, shard, request.pins)\n  // Of several',
        '  if (branch === null && request.pins.length > 0) runner.connections.pin(backend, shard, request.pins)\n  // Of several',
      ],
      ['if (request.pins.length > 0) backend.dirty = true', 'void request'],
    ],
    test: failed,
    name: 'what a routine leaves that fails in a transaction (${begin}) stays with its session',
    fails: /'done'/,
  },
  {
    rule: 'after a routine that failed the server is asked whether a transaction is open',
    file: 'src/gate/failed-statements.ts',
    edits: [['const ask = request.whole === false ||', 'const ask =']],
    test: failed,
    name: 'a transaction that a routine began before it failed is the session’s',
    fails: /'0'/,
  },
  {
    rule: 'without autocommit a failing statement counts as having begun a transaction',
    file: 'src/mysql/exchanges.ts',
    edits: [['if ((owner.status & serverStatus.autocommit) === 0)', 'if (owner.status < 0)']],
    test: failed,
    name: 'without autocommit a statement that fails has begun a transaction',
    fails: /its lock goes with the transaction|'0'/,
  },
  {
    rule: 'a branch is begun once, whatever became of its first statement',
    file: 'src/gate/runner.ts',
    edits: [['if (branch !== null && !branch.begun) await', 'if (branch !== null) await']],
    test: failed,
    name: 'a transaction whose first ${what} over several shards failed goes on: ${keyspace}',
    fails: /'1568'|'1399'/,
  },
  {
    rule: 'after an error that may end a branch the server is asked whether it has',
    file: 'src/gate/ended-by-server.ts',
    edits: [['if (statementOnly.has(number) ||', 'if (number > 0 ||']],
    test: 'src/gate/rolled-back.db.test.ts',
    name: 'promise 1: nothing stands of a transaction of which a server has rolled back a part, as it waited for a lock too long: ${how}; ${keyspace}, ${begin}, ${first}',
    narrow: /: a write on one shard; shop, BEGIN/,
    fails: /all of it is rolled back/,
  },
  {
    rule: 'rows of which a LIMIT leaves some are changed by their keys, where lookups are kept',
    file: 'src/gate/plan/route.ts',
    edits: [['if (chosen === true) return true', 'void chosen']],
    test: 'src/gate/lookup-read-twice.db.test.ts',
    name: 'a LIMIT leaves the same rows to both',
    fails: /n\d/,
    only: 'mariadb',
  },
  {
    rule: 'other settings make prepared statements others',
    file: 'src/gate/settings.ts',
    edits: [['!onlyAtExecution.has(name)', "['sql_mode', 'names'].includes(name)"]],
    test: 'src/gate/statement-types.db.test.ts',
    name: 'promise 10: what one client has prepared is not read by its settings for another; ${flavour}',
    fails: /WEEK|TIMESTAMP/,
    only: 'mysql',
  },
  {
    rule: 'a branch that is given up takes its transaction along',
    file: 'src/gate/failed-statements.ts',
    edits: [
      [
        'if (transaction !== null && branch !== null && branch.statements > 0) {\n      if',
        'if (branch !== null && branch.statements > 0 && backend.connection.open) {\n      if',
      ],
    ],
    test: failed,
    name: 'promise 1: a transaction of which a branch is given up over a setting is rolled back, and not committed without it',
    fails: /'1694'/,
  },
  {
    rule: 'the variables that the gate has are set where a statement for an unsharded keyspace may read them',
    file: 'src/gate/session-connections.ts',
    edits: [['await backend.connection.query(setVariables(this.variables, modeOf(this.settings)))', 'void setVariables']],
    test: beside,
    name: 'user variables are the session’s, whichever server has them',
    fails: /strictly equal/,
  },
  {
    rule: 'a CALL is of several statements, whichever keyspace its session is in',
    file: 'src/gate/session.ts',
    edits: [['whole: relay.whole !== false', 'whole: true']],
    test: beside,
    name: 'promise 11: a CALL of which a part was refused is not sent again, from a sharded session either',
    fails: /SW-GATE-209/,
  },
  {
    rule: 'what a function of an unsharded keyspace leaves keeps its connection with the session',
    file: 'src/gate/session.ts',
    edits: [['pins: relay.pins ?? emptyPins', 'pins: emptyPins']],
    test: beside,
    name: 'what a function leaves stays with the session',
    fails: /the lock goes/,
  },
  {
    rule: 'a prepared statement whose text would be read otherwise is refused',
    file: 'src/gate/session-prepared.ts',
    edits: [['this.#requireReading(statement)\n', 'void 0\n']],
    test: 'src/gate/one-session.db.test.ts',
    name: 'a prepared statement is not read otherwise than it was prepared',
    fails: /strictly deep-equal/,
  },
]

export const gateRuleMutations: readonly Mutation[] = [...atomic, ...held, ...bounded, ...refused]
