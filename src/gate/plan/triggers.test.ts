import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseVschema } from '../../keyspace/vschema.ts'
import { resolveVschema } from '../../keyspace/vschema-resolve.ts'
import type { Following, TableColumns } from './catalog.ts'
import { follows } from './following.ts'
import { createdTrigger, effectOf, requireHarmless } from './triggers.ts'

const vschema = resolveVschema(
  parseVschema(
    JSON.stringify({
      sharded: true,
      vindexes: {
        hash: { type: 'hash' },
        by_email: { type: 'consistent_lookup_unique', params: { table: 'emails', from: 'email', to: 'keyspace_id' }, owner: 'users' },
      },
      tables: {
        users: {
          column_vindexes: [
            { column: 'id', name: 'hash' },
            { column: 'email', name: 'by_email' },
          ],
        },
        accounts: { column_vindexes: [{ column: 'id', name: 'hash' }] },
        emails: { column_vindexes: [{ column: 'email', name: 'hash' }] },
        places: { type: 'reference' },
      },
    }),
  ),
)

test('promise 10: what a trigger sets, and what it may not do', () => {
  const sets: Record<string, string[]> = {
    'SET NEW.email = LOWER(NEW.email)': ['email'],
    'set new . `Email`:=1, NEW.n = 2': ['email', 'n'],
    'BEGIN IF NEW.a = 1 THEN SET NEW.b = 2; END IF; END': ['b'],
    'BEGIN :NEW.a := 1; END': ['a'],
    'SET /* NEW.x = 1 */ "NEW"."b" = 1 -- , NEW.c = 1': ['b'],
    "SET NEW.a = 'NEW.b = 1, NEW.c = 2'": ['a'],
  }
  for (const [body, columns] of Object.entries(sets))
    assert.deepEqual(effectOf(body, false), { ...effectOf(body, false), sets: columns, does: null }, body)
  const harmful: Record<string, RegExp> = {
    'INSERT INTO audit VALUES (NEW.id)': /INSERT/,
    'BEGIN UPDATE t SET a = 1; END': /UPDATE/,
    'REPLACE INTO t VALUES (1)': /REPLACE/,
    'SET NEW.n = (SELECT COUNT(*) FROM t)': /SELECT/,
    'CALL p(NEW.a)': /CALL/,
    'SET NEW.n = (TABLE t)': /TABLE/,
    'SET NEW.by = @who': /@who/,
    'SET @last = NEW.id': /@last/,
    'SET NEW.by = USER()': /USER/,
    'SET NEW.n = NEXTVAL(s)': /sequence/,
    'SET NEW.n = NEXT VALUE FOR s': /sequence/,
    'SET NEW.n = /*!50000 (SELECT 1 FROM t) */ 1': /read/,
    "SET NEW.n = 'a": /read/,
  }
  for (const [body, does] of Object.entries(harmful)) assert.match(effectOf(body, false).does ?? '', does, body)
  assert.match(effectOf("SET NEW.n = 'a\\', NEW.m = 1, NEW.o = '", true).does ?? '', /read/)
  for (const body of [
    "SET NEW.a = REPLACE(INSERT(NEW.a, 1, 1, 'UPDATE'), 'x', 'DELETE FROM t')",
    "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SET NEW.a = 1; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END",
    'SET NEW.a = TRIM(LEADING 0 FROM NEW.a), NEW.`update` = NOW()',
    'SET NEW.a = (SELECT NEW.b + 1)',
  ])
    assert.equal(effectOf(body, false).does, null, body)
})

test('CREATE TRIGGER is read from behind its event', () => {
  assert.deepEqual(
    createdTrigger(
      'CREATE DEFINER=`a`@`b` TRIGGER IF NOT EXISTS x BEFORE UPDATE ON `s`.`Users` FOR EACH ROW FOLLOWS y SET NEW.a = 1',
      false,
    ),
    {
      table: 'users',
      trigger: { sets: ['a'], does: null, calls: [] },
    },
  )
  assert.match(
    createdTrigger('CREATE TRIGGER x AFTER DELETE ON t FOR EACH ROW BEGIN SET @a = 1; DELETE FROM u; END', false)?.trigger.does ?? '',
    /@a/,
  )
  assert.equal(createdTrigger('CREATE TRIGGER x', false), null)
})

test('promise 10: a trigger sets no column by which rows are placed or found', () => {
  const set = (table: string, column: string) => (): void =>
    requireHarmless(table, vschema.tables.get(table), { name: 'x', ...effectOf(`SET NEW.${column} = 1`, false) }, undefined)
  for (const [table, column] of [
    ['users', 'id'],
    ['users', 'EMAIL'],
    ['accounts', 'id'],
  ] as const)
    assert.throws(set(table, column), /SW-GATE-125|sets/, `${table}.${column}`)
  for (const [table, column] of [
    ['users', 'n'],
    ['accounts', 'email'],
    ['places', 'code'],
  ] as const)
    assert.doesNotThrow(set(table, column), `${table}.${column}`)
})

test('promise 10: a column that follows another row is found by no lookup', () => {
  const follow = (parent: string, of: string, onUpdate = 'CASCADE'): boolean => {
    const follower: Following = { table: 'users', column: 'Email', parent, of, onUpdate, onDelete: 'RESTRICT' }
    const columns: TableColumns = { columns: [], uniqueKeys: [], followers: [follower] }
    return follows(
      { columns, keyspace: { name: 'shop', vschema, schemaNamesEqual: true, columns: () => null, functions: undefined } },
      'email',
    )
  }
  assert.equal(follow('accounts', 'email'), true)
  assert.equal(follow('elsewhere', 'email'), true, 'a table that is in no vschema')
  assert.equal(follow('accounts', 'ID'), false, 'its shard key stays')
  assert.equal(follow('places', 'code'), false, 'the change of the reference table is refused')
  assert.equal(follow('accounts', 'email', 'SET NULL'), false)
})
