import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differingDefaults, type SessionDefaults } from './session-defaults.ts'

const strict = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'
function server(values: Record<string, string> = {}, flavour: SessionDefaults['flavour'] = 'mysql', zone = 'utc'): SessionDefaults {
  return {
    flavour,
    zone,
    zoneNames: [],
    values: { time_zone: 'SYSTEM (UTC)', transaction_isolation: 'REPEATABLE-READ', sql_mode: strict, ...values },
  }
}
function found(f: SessionDefaults, ...n: SessionDefaults[]): Record<string, boolean> {
  const to = new Map(n.map((one, i) => [`n${i}`, one]))
  return Object.fromEntries(differingDefaults(new Map([['f', f]]), to).map(({ variable, harm }) => [variable, harm !== null]))
}

test('alike, in whatever order and under whatever name, is alike', () => {
  assert.deepEqual(found(server(), server()), {})
  assert.deepEqual(found(server(), server({ sql_mode: strict.split(',').toReversed().join() })), {})
  assert.deepEqual(found(server(), server({ time_zone: '+00:00' })), {})
  assert.deepEqual(found(server(), server({}, 'mysql', 'another')), { time_zone: true })
})

test('what changes rows is told from what changes answers alone; one server of a side is enough', () => {
  assert.deepEqual(found(server(), server(), server({ transaction_isolation: 'READ-COMMITTED' })), { transaction_isolation: true })
  assert.deepEqual(found(server(), server({ div_precision_increment: '9' })), { div_precision_increment: false })
  assert.deepEqual(found(server(), server({ sql_mode: `${strict},ONLY_FULL_GROUP_BY` })), { sql_mode: false })
  for (const mode of ['NO_ZERO_DATE', 'ANSI_QUOTES', 'TIME_TRUNCATE_FRACTIONAL'])
    assert.deepEqual(found(server(), server({ sql_mode: `${strict},${mode}` })), { sql_mode: true }, mode)
})

test('between flavours what one of them alone has, or has by default, is told only', () => {
  const modes = `${strict},NO_AUTO_CREATE_USER`
  const mariadb = server({ sql_mode: modes, group_concat_max_len: '1048576' }, 'mariadb')
  const theirs = `ONLY_FULL_GROUP_BY,NO_ZERO_DATE,NO_ZERO_IN_DATE,${strict}`
  const mysql = server({ sql_mode: theirs, group_concat_max_len: '1024' })
  assert.deepEqual(found(mariadb, mysql), { sql_mode: false, group_concat_max_len: false })
  assert.deepEqual(found(mysql, mariadb), { sql_mode: false, group_concat_max_len: false })
  assert.deepEqual(found(mariadb, server({ sql_mode: theirs.replace('STRICT_TRANS_TABLES', ''), group_concat_max_len: '1' })), {
    sql_mode: true,
    group_concat_max_len: false,
  })
})

test('values are told by server, of modes those that not all have', () => {
  const to = new Map([['n', server({ sql_mode: strict.replace('STRICT_TRANS_TABLES,', '') })]])
  const [one] = differingDefaults(new Map([['f', server()]]), to)
  assert.equal(one?.values, 'f has STRICT_TRANS_TABLES; n has none of these')
})
