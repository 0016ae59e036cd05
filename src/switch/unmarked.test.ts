import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QueryEvent } from '../binlog/source.ts'
import { AnnouncedHere } from './unmarked.ts'

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
