import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionDefaults } from './session-defaults.ts'
import { valueFor } from './take-defaults.ts'

function server(flavour: SessionDefaults['flavour'], values: Record<string, string>): SessionDefaults {
  return { flavour, zone: '', zoneNames: [], values }
}

test("within a flavour all modes are taken; between flavours those that both have, beside the server's own", () => {
  const mysql = server('mysql', { sql_mode: 'ONLY_FULL_GROUP_BY,STRICT_ALL_TABLES,NO_ZERO_DATE', group_concat_max_len: '5' })
  const mariadb = server('mariadb', { sql_mode: 'STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER' })
  assert.equal(valueFor('sql_mode', mysql, server('mysql', {})), 'ONLY_FULL_GROUP_BY,STRICT_ALL_TABLES,NO_ZERO_DATE')
  assert.equal(valueFor('sql_mode', mysql, mariadb), 'NO_AUTO_CREATE_USER,STRICT_ALL_TABLES')
  assert.equal(valueFor('sql_mode', mariadb, mysql), 'ONLY_FULL_GROUP_BY,NO_ZERO_DATE,STRICT_TRANS_TABLES')
  assert.equal(valueFor('sql_mode', server('mysql', { sql_mode: '' }), server('mysql', {})), '', 'none is a value')
  assert.equal(valueFor('group_concat_max_len', mysql, mariadb), '5')
  assert.equal(valueFor('max_sort_length', mysql, mariadb), null, 'what the other does not have')
})
