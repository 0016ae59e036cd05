/** PROTOCOLS 1.13: which keys a statement is about, by its text. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concerns, drops, keysConcerned, tablesReferredTo } from './ddl-keys.ts'
import { ddlEvent } from './testkit/ddl-event.ts'

const about = (sql: string): unknown => keysConcerned(ddlEvent(sql))
const named = (...names: string[]): object => ({ named: names, ofColumns: [], dropped: [] })
const columns = (...names: string[]): object => ({ named: [], ofColumns: names, dropped: [] })
const dropped = (...names: string[]): object => ({ named: names, ofColumns: [], dropped: names })

test('1.13: a statement is about the keys that it names, and about those whose names a key without one would be made of', () => {
  for (const [sql, expected] of [
    ['ALTER TABLE item ADD d INT NULL DEFAULT 3', named()],
    ['ALTER TABLE item ADD COLUMN (d INT, e INT)', named()],
    ["ALTER TABLE item COMMENT = 'UNIQUE KEY u', ALGORITHM=INPLACE, ADD CHECK (v > 1)", named()],
    ['ALTER TABLE app.item ADD KEY D1 (`counter`)', named('d1')],
    ['ALTER TABLE `app`.`item` ADD KEY `D 1` (`a,b`), ADD d DECIMAL(3, 2), ADD UNIQUE e USING BTREE (a, b)', named('d 1', 'e')],
    ['ALTER TABLE item ADD FULLTEXT INDEX f (a), ADD SPATIAL g (b), ADD UNIQUE KEY IF NOT EXISTS h (c)', named('f', 'g', 'h')],
    [
      'ALTER TABLE item ADD CONSTRAINT c UNIQUE (a), ADD CONSTRAINT d UNIQUE KEY e (a), ADD CONSTRAINT f CHECK (a > 1)',
      named('c', 'd', 'e', 'f'),
    ],
    ['CREATE UNIQUE INDEX i ON item (a)', named('i')],
    ['CREATE INDEX IF NOT EXISTS i ON item (a)', named('i')],
    ['DROP INDEX IF EXISTS i ON item', dropped('i')],
    ['ALTER TABLE item DROP INDEX i, DROP KEY IF EXISTS `j`, DROP CONSTRAINT k, DROP FOREIGN KEY f', dropped('i', 'j', 'k')],
    ['ALTER TABLE item RENAME INDEX a TO b, ALTER INDEX c INVISIBLE, ALTER CONSTRAINT f NOT ENFORCED', named('a', 'b', 'c')],
    ['ALTER TABLE item ADD KEY (`A`), ADD UNIQUE (b(3), c), ADD INDEX USING BTREE (d)', columns('a', 'b', 'd')],
    [
      'ALTER TABLE item ADD INDEX ((lower(a))), ADD KEY (a, (b + 1) DESC), ADD KEY (c(3), d)',
      columns('functional_index', 'functional_index', 'c'),
    ],
    ['ALTER TABLE item ADD COLUMN d INT NULL UNIQUE, ADD e INT UNIQUE KEY AFTER d', columns('d', 'e')],
    ['SET STATEMENT max_statement_time=3 FOR ALTER TABLE item ADD KEY d (a)', named('d')],
  ] as const)
    assert.deepEqual(about(sql), expected, sql)
})

test('1.13: what asks for a key without naming one, changes columns, or cannot be read for certain is about all of them', () => {
  for (const sql of [
    'ALTER TABLE item ADD FOREIGN KEY (a) REFERENCES other (id)',
    'ALTER TABLE item ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES other (id)',
    'ALTER TABLE item ADD d INT REFERENCES other (id)',
    'ALTER TABLE item ADD d INT KEY',
    'ALTER TABLE item ADD (d INT UNIQUE, e INT)',
    'ALTER TABLE item ADD PRIMARY KEY (a)',
    'ALTER TABLE item DROP COLUMN a, ADD KEY d (b)',
    'ALTER TABLE item MODIFY a BIGINT',
    'ALTER TABLE item ADD KEY `é` (a)',
    'ALTER TABLE item ADD KEY `a``b` (a)',
    `ALTER TABLE item ADD KEY (${'a'.repeat(60)})`,
    'TRUNCATE TABLE item',
  ])
    assert.equal(about(sql), 'any', sql)
})

test('1.13: names of keys are told apart without case; those with letters of other alphabets are never passed over', () => {
  const keys = keysConcerned(ddlEvent('ALTER TABLE item DROP INDEX Uu, ADD KEY (a)'))
  for (const name of ['uu', 'UU', 'a', 'A_2', 'a_12', 'ü']) assert.equal(concerns(keys, name), true, name)
  for (const name of ['u', 'a_', 'a_b', 'a2', 'ab', 'b_2']) assert.equal(concerns(keys, name), false, name)
  assert.deepEqual(
    ['UU', 'a', 'ü'].map((name) => drops(keys, name)),
    [true, false, false],
  )
  assert.equal(concerns('any', 'x'), true)
  assert.equal(drops('any', 'x'), false)
})

test('1.13: the tables that foreign keys of a statement refer to, whose keys it asks for', () => {
  for (const [sql, expected] of [
    ['ALTER TABLE a ADD b INT', []],
    [
      'ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id), ADD c INT REFERENCES `app`.`C d`(id), ADD d INT REFERENCES app.e',
      ['B', 'C d', 'E'],
    ],
    ['ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES `b``c` (id)', null],
  ] as const)
    assert.deepEqual(tablesReferredTo(ddlEvent(sql)), expected, sql)
})
