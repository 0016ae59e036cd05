/** Rules of movement and verification that a second audit found missing (docs/decisions/027), each with the smallest edit that removes it. */
import type { Mutation } from './mutation.ts'

const executed = 'src/move/ddl-executed.db.test.ts'
const deferred =
  '1.13 exec on ${flavour}: while keys wait for the end of the copy, a statement about one of them does all that it says, the next one too'
const already =
  '1.13 exec on ${flavour}: "there already" is no proof that a statement was done: it stops the stream, at the second start too'
const goesOn =
  '1.7, 1.13 exec on ${flavour}: a statement that goes on at the server when its mover has died is waited for, and not made twice'
const twice = 'src/move/ddl-twice.db.test.ts'

export const auditMutations: readonly Mutation[] = [
  {
    rule: '2 a row is extra only where nothing that others have locked was skipped',
    file: 'src/verify/settle.ts',
    edits: [["gaps: ' NOWAIT'", "gaps: ' SKIP LOCKED'"]],
    test: 'src/verify/settle.db.test.ts',
    name: 'after the marker, under locks that keep the row as it is, and only what it holds',
    fails: /extra/,
  },
  {
    rule: '1.5 a unique key that only the target has is refused when a workflow begins',
    file: 'src/move/schema-copy.ts',
    edits: [['held.get(table) ?? [], asked.get(table) ?? [], target.name)', "held.get(table) ?? [], asked.get('') ?? [], target.name)"]],
    test: 'src/change/attached.db.test.ts',
    name: '1.12: tables that stand on a target and would take rows for others, or hold rows, are refused by column before anything is made',
    fails: /unique key/,
  },
  {
    rule: '1.5 and when the source gives it up',
    file: 'src/move/stream-ddl.ts',
    edits: [['if (finding !== undefined) throw finding', "if (finding?.message === '') throw finding"]],
    test: 'src/move/unique-keys.db.test.ts',
    name: '1.5 on ${flavour}: a stream does not begin on a table with a unique key of its own, and stops when the source gives one up',
    fails: /./,
  },
  {
    rule: '1.13 exec: keys that wait are built before a statement that may be about them',
    file: 'src/move/stream-ddl.ts',
    edits: [["verb.toUpperCase() === 'TRUNCATE' ? [] : tables", "verb === '' ? tables : []"]],
    test: executed,
    name: deferred,
    fails: /./,
  },
  {
    rule: '1.13 exec: what the server refuses was not done',
    file: 'src/move/stream-ddl.ts',
    edits: [['throw refuse(error.serverMessage)', 'if (error.errno !== 1060) throw refuse(error.serverMessage)']],
    test: executed,
    name: already,
    fails: /./,
  },
  {
    rule: '1.13 exec: nor is it taken for done once somebody has changed the table',
    file: 'src/move/ddl-executed.ts',
    edits: [["if (isSwError(error, 'SW-MOVE-028'))", "if (isSwError(error, 'SW-MOVE-000'))"]],
    test: executed,
    name: already,
    fails: /SW-MOVE-029/,
  },
  {
    rule: '1.7 DDL that goes on at the server is waited for',
    file: 'src/move/takeover.ts',
    edits: [['for (let pause = 5; ids.size > 0;', 'for (let pause = 5; ids.size > 1e9;']],
    test: executed,
    name: goesOn,
    fails: /./,
  },
  {
    rule: '1.7 its session is entered before it begins',
    file: 'src/move/stream-ddl.ts',
    edits: [['await xaLane.transaction([enterDdlSession(on, epoch, conn.threadId)])', 'void enterDdlSession']],
    test: executed,
    name: goesOn,
    fails: /./,
  },
  {
    rule: '1.7, 1.12 and so are keys that the server still builds',
    file: 'src/move/takeover.ts',
    edits: [
      ['session = IF(lane = ${ownLanes.meta}, ${conn.threadId}, 0)', 'session = IF(lane = ${ownLanes.meta}, 0, 0)'],
      ["AND state = 'running' AND session = ${conn.threadId}`", "AND state = 'running'`"],
    ],
    test: executed,
    name: '1.7, 1.12 on ${flavour}: keys that the server still builds when their mover has died are waited for, and not built twice',
    fails: /./,
  },
  {
    rule: '1.13 exec: streams of one target come one by one, whatever GET_LOCK answers',
    file: 'src/move/ddl-executed.ts',
    edits: [["GET_LOCK(${lock}, 1)`)) === '1')", "GET_LOCK(${lock}, 1)`)) !== '2')"]],
    test: twice,
    name: '1.13 exec: while another stream executes the statement on a target it is waited for, however long, and by name',
    fails: /./,
  },
  {
    rule: '1.13 our announced DDL is known to runs that begin behind the announcement',
    file: 'src/move/stream.ts',
    edits: [['await announced.load(start)', 'void start']],
    test: 'src/move/announced.db.test.ts',
    name: '1.13 on ${flavour}: an ALTER that the stream of the other direction executes passes, whatever is logged before it ends, over a restart too; the next one of somebody else stops',
    fails: /SW-MOVE-002/,
  },
  {
    rule: '1.13 once it has come, the next one is not ours',
    file: 'src/move/announced.ts',
    edits: [['ddl.verb.toUpperCase() === verb.toUpperCase()) this.#came', "ddl.verb.toUpperCase() === '') this.#came"]],
    test: 'src/move/announced.db.test.ts',
    name: '1.13 on ${flavour}: an ALTER that the stream of the other direction executes passes, whatever is logged before it ends, over a restart too; the next one of somebody else stops',
    fails: /SW-MOVE-029/,
  },
  {
    rule: '1.13 an announcement can be taken back',
    file: 'src/move/announced.ts',
    edits: [["if (ddl.verb === '') this.#pending.delete(keyOf(ddl))\n      else", "if (ddl.verb !== '')"]],
    test: 'src/move/announced.db.test.ts',
    name: '1.13 on ${flavour}: an announcement is of one object, and can be taken back',
    fails: /no failure/,
  },
  {
    rule: '1.13 CREATE TABLE IF NOT EXISTS of a moved table passes',
    file: 'src/move/query-policy.ts',
    edits: [['hit === undefined || makesNothing(event)', "hit === undefined || (makesNothing(event) && hit.name === '')"]],
    test: 'src/move/ddl.test.ts',
    name: '1.13: CREATE TABLE IF NOT EXISTS of a table that is there makes nothing',
    fails: /./,
  },
  {
    rule: '1.10 what SET STATEMENT … FOR is for counts',
    file: 'src/binlog/query-classify.ts',
    edits: [["if (this.peek() !== 'SET' ||", "if (this.peek() !== '' ||"]],
    test: 'src/move/ddl.test.ts',
    name: '1.10, 1.13: SET STATEMENT … FOR is logged with what it is for, which alone counts',
    fails: /./,
  },
  {
    rule: '1.13 and what it does is judged without it',
    file: 'src/move/ddl.ts',
    edits: [["if (words[0] !== 'SET' || words[1] !== 'STATEMENT') return words", 'if (words.length > 0) return words']],
    test: 'src/move/ddl.test.ts',
    name: '1.10, 1.13: SET STATEMENT … FOR is logged with what it is for, which alone counts',
    fails: /./,
  },
  {
    rule: '1.11 cascades that an attached target hides are refused',
    file: 'src/change/attached-findings.ts',
    edits: [['cascades.length > 0 &&', 'cascades.length < 0 &&']],
    test: 'src/change/cascades.db.test.ts',
    name: 'a target that does not log them is refused, as a source is',
    fails: /SW-CHANGE/,
    only: 'mysql',
  },
  {
    rule: '1.11 a MySQL whose engine does cascades hides them',
    file: 'src/mysql/flavour/mysql.ts',
    edits: [
      [
        "!isOn((await variables(connection, ['innodb_native_foreign_keys'])).get('innodb_native_foreign_keys'))",
        "((await variables(connection, ['innodb_native_foreign_keys'])).get('innodb_native_foreign_keys') ?? '') !== 'x'",
      ],
    ],
    test: 'src/change/cascades.db.test.ts',
    name: 'what a server is said to log is what it logs',
    fails: /./,
    only: 'mysql',
  },
  {
    rule: '1.6 sources that meet in a target are compared table by table',
    file: 'src/change/reshard-plan.ts',
    edits: [['if (differing.length > 0) return', 'if (differing.length < 0) return']],
    test: 'src/change/source-agreement.db.test.ts',
    name: '1.6: merges: a plan is refused where its sources differ, and one that brings none of them together is not; ${flavour}',
    fails: /rejection|rejects/i,
  },
  {
    rule: '1.6 each holds what the other has',
    file: 'src/change/source-agreement.ts',
    edits: [['columnMisfit(column, other) ?? columnMisfit(other, column)', 'columnMisfit(column, other)']],
    test: 'src/change/source-agreement.db.test.ts',
    name: '1.6: merges: sources whose columns, keys or unique keys differ are told, by what differs; ${flavour}',
    fails: /./,
  },
]
