import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QueryEvent } from '../binlog/source.ts'
import { AnnouncedHere, takesRows } from './unmarked.ts'

const statement = (verb: string, ...names: string[]): Pick<QueryEvent, 'statement' | 'schema'> => ({
  schema: 'app',
  statement: { kind: 'ddl', verb, object: 'TABLE', objects: names.map((name) => ({ schema: null, name })) },
})

test('promise 2: an announcement stands until its own statement comes, whatever is logged in between; once; and can be taken back', () => {
  const ours = new AnnouncedHere()
  ours.announced({ verb: 'TRUNCATE', schema: 'app', name: 'Item' })
  ours.announced({ verb: 'ALTER', schema: 'app', name: 'other' })
  assert.equal(ours.came(statement('ALTER', 'elsewhere')), false)
  assert.equal(ours.came(statement('DROP', 'item')), false)
  assert.equal(ours.came({ ...statement('TRUNCATE', 'item'), schema: 'theirs' }), false)
  assert.equal(ours.came(statement('TRUNCATE', 'item')), true)
  assert.equal(ours.came(statement('TRUNCATE', 'item')), false)
  ours.announced({ verb: '', schema: 'app', name: 'other' })
  assert.equal(ours.came(statement('ALTER', 'other')), false)
  ours.announced({ verb: 'DROP', schema: 'app', name: 'a' })
  assert.equal(ours.came(statement('DROP', 'a', 'b')), false, 'not all of it is ours')
})

test('promise 2: tables of our own schema that are dropped hold no rows of clients; whatever is beside them does', () => {
  const drop = (...objects: { schema: string | null; name: string }[]): boolean =>
    takesRows({ schema: 'app', statement: { kind: 'ddl', verb: 'DROP', object: 'TABLE', objects } })
  const own = { schema: '_shardwright', name: 'cascade_child' }
  assert.equal(drop(own, { ...own, name: 'cascade_parent' }), false)
  assert.equal(drop(own, { schema: null, name: 'cascade_parent' }), true)
  assert.equal(drop({ schema: 'app', name: 't' }), true)
  assert.equal(drop(), true)
  assert.equal(
    takesRows({
      schema: '',
      statement: { kind: 'ddl', verb: 'DROP', object: 'DATABASE', objects: [{ schema: null, name: '_shardwright' }] },
    }),
    true,
  )
})
