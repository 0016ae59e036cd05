/**
 * DDL on a moved table: statement × phase × --on-ddl → outcome. The one table that ddl.db.test.ts runs cell by cell and docs/ddl.md is printed from.
 *
 * The table is `item (id BIGINT PRIMARY KEY, owner INT, u INT NULL UNIQUE, name VARCHAR(30), v INT, KEY v (v))`, sharded by owner.
 */
export type DdlOutcomeCell =
  /** The stream goes on with the new definition. */
  | 'goes on'
  /** It fails with SW-MOVE-002, everything before the statement applied. */
  | 'stops'
  /** It fails with SW-MOVE-029 (a target lacks a column), -030 (has another key) or -037 (a column that holds other values); made there, it goes on. */
  | 'stops for the target'

export type DdlCell = {
  readonly name: string
  /** `@` is the source's schema. */
  readonly sql: string
  /** What the session sets before. */
  readonly session?: string
  /** A change of rows that is valid only after it; null: none. */
  readonly after: string | null
  readonly outcome: { readonly exec: DdlOutcomeCell; readonly ignore: DdlOutcomeCell }
  /** Outcomes while the copy is not complete, where they are others. */
  readonly whileCopying?: { readonly exec: DdlOutcomeCell; readonly ignore: DdlOutcomeCell }
  /** For `ignore`: what is made on the targets beforehand, and after a stop. `@` is the target's schema. */
  readonly targetsBefore?: string
  readonly targetsAfter?: string
  /** Also told when a stream begins, before it comes to the statement: SW-MOVE-039. */
  readonly stands?: true
  /** Only where the servers do not log what cascades change. */
  readonly hidden?: true
  /** Why it stops, for the page. */
  readonly why?: string
}

const both = (outcome: DdlOutcomeCell): DdlCell['outcome'] => ({ exec: outcome, ignore: outcome })

export const ddlCells: readonly DdlCell[] = [
  {
    name: 'ADD COLUMN',
    sql: 'ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5',
    after: 'UPDATE item SET extra = id WHERE id % 2 = 0',
    outcome: both('goes on'),
    targetsBefore: 'ALTER TABLE @.item ADD extra INT NOT NULL DEFAULT 5',
  },
  {
    name: 'ADD COLUMN, the targets not altered',
    sql: 'ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5',
    after: 'UPDATE item SET extra = id WHERE id % 2 = 0',
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    targetsAfter: 'ALTER TABLE @.item ADD extra INT NOT NULL DEFAULT 5',
    why: 'ignore says that somebody sees to the targets',
  },
  {
    name: 'ADD COLUMN before columns of the same type',
    sql: 'ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5 AFTER id, DROP COLUMN v',
    after: 'UPDATE item SET owner = owner + 1, extra = 7 WHERE id % 2 = 0',
    outcome: both('goes on'),
    targetsBefore: 'ALTER TABLE @.item ADD extra INT NOT NULL DEFAULT 5 AFTER id, MODIFY v INT NOT NULL DEFAULT 0',
  },
  {
    name: 'DROP COLUMN',
    sql: 'ALTER TABLE item DROP COLUMN v',
    after: "UPDATE item SET name = 'after' WHERE id % 2 = 0",
    outcome: both('goes on'),
    targetsBefore: 'ALTER TABLE @.item MODIFY v INT NOT NULL DEFAULT 0',
  },
  {
    name: 'MODIFY COLUMN (wider)',
    sql: 'ALTER TABLE item MODIFY name VARCHAR(60) CHARACTER SET utf8mb4 NOT NULL',
    after: "UPDATE item SET name = REPEAT('w', 50) WHERE id % 2 = 0",
    outcome: both('goes on'),
    targetsBefore: 'ALTER TABLE @.item MODIFY name VARCHAR(60) CHARACTER SET utf8mb4 NOT NULL',
  },
  {
    name: 'MODIFY COLUMN (another place)',
    sql: 'ALTER TABLE item MODIFY v INT NOT NULL AFTER id',
    after: 'UPDATE item SET v = 77 WHERE id % 2 = 0',
    outcome: both('goes on'),
    targetsBefore: 'ALTER TABLE @.item MODIFY v INT NOT NULL AFTER id',
  },
  {
    name: 'RENAME COLUMN',
    sql: 'ALTER TABLE item RENAME COLUMN v TO w',
    after: 'UPDATE item SET w = 9 WHERE id % 2 = 0',
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    targetsAfter: 'ALTER TABLE @.item RENAME COLUMN v TO w',
    why: 'a target can have only one of the names',
  },
  {
    name: 'MODIFY COLUMN (another type), the targets not altered',
    sql: 'ALTER TABLE item MODIFY v DECIMAL(12,2) NOT NULL',
    after: 'UPDATE item SET v = v + 0.25 WHERE id % 2 = 0',
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    targetsAfter: 'ALTER TABLE @.item MODIFY v DECIMAL(12,2) NOT NULL',
    why: 'what the source writes now would be rounded there',
  },
  {
    name: 'ADD COLUMN that the session fills',
    // Without explicit defaults the first TIMESTAMP has the clock for its own.
    session: "SET SESSION time_zone='+05:30', timestamp=1700000000.25, explicit_defaults_for_timestamp=0",
    sql: 'ALTER TABLE item ADD d DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), ADD t TIMESTAMP',
    after: null,
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    targetsAfter:
      "ALTER TABLE @.item ADD d DATETIME(3) NOT NULL DEFAULT '2023-11-15 03:43:20.250', ADD t TIMESTAMP NOT NULL DEFAULT '2023-11-14 22:13:20'",
    why: 'ignore: as for any column',
  },
  {
    name: 'another type of the primary key',
    sql: 'ALTER TABLE item MODIFY id VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL',
    after: 'UPDATE item SET v = v + 1',
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    whileCopying: both('stops'),
    targetsAfter: 'ALTER TABLE @.item MODIFY id VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL',
    why: 'while copying, values lie in another order than the chunks that are done',
  },
  {
    name: 'another type of the shard key',
    sql: 'ALTER TABLE item MODIFY owner DECIMAL(20,2) NOT NULL',
    after: null,
    outcome: both('stops'),
    why: 'rows may belong on other shards then, and no event tells which',
  },
  {
    name: 'ADD COLUMN … AUTO_INCREMENT, UUID(), RAND()',
    sql: 'ALTER TABLE item ADD n INT NOT NULL AUTO_INCREMENT, ADD UNIQUE KEY n (n)',
    after: null,
    outcome: { exec: 'stops', ignore: 'stops for the target' },
    // The numbers that the source has given its rows, whose ids are tens.
    targetsAfter: 'ALTER TABLE @.item ADD n INT NOT NULL DEFAULT (id DIV 10 + 1)',
    why: 'each server would number its rows by itself; with ignore, whoever makes the column on the targets gives it the values of the source, which no event brings (a vdiff shows what differs)',
  },
  {
    name: 'CREATE INDEX',
    sql: 'CREATE INDEX by_name ON item (name)',
    after: 'UPDATE item SET v = v + 1',
    outcome: both('goes on'),
  },
  { name: 'DROP INDEX', sql: 'DROP INDEX v ON item', after: 'UPDATE item SET v = v + 1', outcome: both('goes on') },
  {
    name: 'DROP INDEX (unique)',
    sql: 'DROP INDEX u ON item',
    after: 'UPDATE item SET u = 5 WHERE id < 100',
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    whileCopying: both('goes on'),
    targetsAfter: 'DROP INDEX u ON @.item',
    why: 'rows that the key would take for one would remove each other there; while copying it is not built yet',
  },
  {
    name: 'ADD COLUMN … AS (…) with a unique key, the targets made otherwise',
    sql: 'ALTER TABLE item ADD g INT AS (v) VIRTUAL, ADD UNIQUE KEY g (g)',
    after: 'UPDATE item SET owner = owner + 1',
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    // Those of before and behind it, each of its own: v is doubled.
    targetsBefore: 'ALTER TABLE @.item ADD g INT AS (v % 100) VIRTUAL, ADD UNIQUE KEY g (g)',
    targetsAfter: 'ALTER TABLE @.item DROP KEY g, DROP COLUMN g, ADD g INT AS (v) VIRTUAL, ADD UNIQUE KEY g (g)',
    why: 'rows that are apart by what the source makes would be one by what the target makes, and remove each other there; so with a MODIFY of such a column',
  },
  {
    name: 'another primary key',
    sql: 'ALTER TABLE item DROP PRIMARY KEY, ADD PRIMARY KEY (id, owner)',
    after: 'UPDATE item SET v = v + 1',
    outcome: { exec: 'goes on', ignore: 'stops for the target' },
    whileCopying: both('stops'),
    targetsAfter: 'ALTER TABLE @.item DROP PRIMARY KEY, ADD PRIMARY KEY (id, owner)',
    why: 'rows are written by key: targets altered earlier or later would keep or remove other rows; while copying, the chunks that are done are ranges of the old key',
  },
  {
    name: 'TRUNCATE',
    sql: 'TRUNCATE TABLE item',
    after: "INSERT INTO item VALUES (1, 2, NULL, 'new', 3)",
    outcome: { exec: 'goes on', ignore: 'stops' },
    why: 'no event names the rows: they would stay on the targets',
  },
  {
    name: 'ADD FOREIGN KEY … ON DELETE CASCADE (SET NULL; ON UPDATE), where a server does not log cascades',
    sql: 'ALTER TABLE item ADD up BIGINT NULL, ADD CONSTRAINT away FOREIGN KEY (up) REFERENCES item (id) ON DELETE CASCADE',
    after: null,
    outcome: both('stops'),
    stands: true,
    hidden: true,
    why: 'rows that a cascade changes are not in the binlog there: they would stay on the targets',
  },
  {
    name: 'ENGINE other than InnoDB',
    sql: 'ALTER TABLE item ENGINE = MyISAM',
    after: null,
    outcome: both('stops'),
    stands: true,
    why: 'its rows are in no transaction with the position that they belong to',
  },
  {
    name: 'RENAME TABLE',
    sql: 'RENAME TABLE item TO item2',
    after: null,
    outcome: both('stops'),
    why: 'the workflow does not know the new name',
  },
  { name: 'ALTER TABLE … RENAME', sql: 'ALTER TABLE item RENAME TO item2', after: null, outcome: both('stops'), why: 'the same' },
  { name: 'DROP TABLE', sql: 'DROP TABLE item', after: null, outcome: both('stops'), why: 'nothing is left to move' },
  { name: 'DROP DATABASE', sql: 'DROP DATABASE @', after: null, outcome: both('stops'), why: 'the same' },
]

export const phases = ['copying', 'following'] as const
export const modes = ['stop', 'ignore', 'exec'] as const

export function outcomeOf(cell: DdlCell, phase: (typeof phases)[number], mode: (typeof modes)[number]): DdlOutcomeCell {
  if (mode === 'stop') return 'stops'
  return ((phase === 'copying' ? cell.whileCopying : undefined) ?? cell.outcome)[mode]
}
