import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dimensionWriter } from './dimension-writer.ts'

const table = {
  name: 'dim',
  columns: [
    { name: 'id', dataType: 'int', key: true },
    { name: 'label', dataType: 'varchar', key: false },
    { name: 'ver', dataType: 'varbinary', key: false },
    { name: 'least', dataType: 'bigint', key: false },
    { name: 'most', dataType: 'decimal', key: false },
    { name: 'note', dataType: 'varchar', key: false },
  ],
  merge: { columns: { Label: 'last', least: 'min', most: 'max' }, lastVersion: 'VER' },
} as const

test('rule 13: rows that are copied merge by the fleet’s own upsert; the version is set after what it decides', () => {
  assert.equal(
    dimensionWriter(table, 'mysql').onDuplicate,
    ' AS new_row ON DUPLICATE KEY UPDATE `label`=IF(new_row.`ver`>=`dim`.`ver`,new_row.`label`,`dim`.`label`),' +
      '`least`=IF(new_row.`least` IS NULL OR `dim`.`least`<=new_row.`least`,`dim`.`least`,new_row.`least`),' +
      '`most`=IF(new_row.`most` IS NULL OR `dim`.`most`>=new_row.`most`,`dim`.`most`,new_row.`most`),`note`=new_row.`note`,`ver`=GREATEST(`dim`.`ver`,new_row.`ver`)',
  )
  assert.match(dimensionWriter(table, 'mariadb').onDuplicate, /^ ON DUPLICATE KEY UPDATE `label`=IF\(VALUES\(`ver`\)>=`dim`\.`ver`/)
  const keysAlone = { name: 'dim', columns: [table.columns[0]], merge: { columns: {}, lastVersion: null } }
  assert.equal(dimensionWriter(keysAlone, 'mariadb').onDuplicate, ' ON DUPLICATE KEY UPDATE `id`=`dim`.`id`')
})

test('rule 13: what goes back in its order cannot be merged, by value and not by text', () => {
  const { refuses } = dimensionWriter(table, 'mariadb')
  const cells =
    (...texts: (string | null)[]) =>
    (place: number) => {
      const text = texts[place]
      return text === null || text === undefined ? null : Buffer.from(text, 'latin1')
    }
  const row = (change: { label?: string; ver?: string; least?: string | null; most?: string; note?: string }) =>
    cells(
      '1',
      change.label ?? 'a',
      change.ver ?? 'v5',
      change.least === undefined ? '10' : change.least,
      change.most ?? '9.50',
      change.note ?? '',
    )
  const same = row({})
  assert.equal(refuses(same, row({ label: 'b', note: 'x', ver: 'v6', least: '9', most: '10.5' })), null)
  assert.equal(refuses(same, row({ label: 'b' })), null, 'another image of the version that stands')
  assert.equal(refuses(same, row({ most: '9.5' })), null)
  assert.match(refuses(same, row({ ver: 'v4' })) ?? '', /ver went back, to an older version/)
  assert.match(refuses(same, row({ least: '100' })) ?? '', /least went up from 10 to 100/)
  assert.equal(refuses(row({ least: '100' }), row({ least: '20' })), null)
  assert.match(refuses(same, row({ most: '9.4999' })) ?? '', /most went back from 9\.50 to 9\.4999/)
  assert.match(refuses(same, row({ least: null })) ?? '', /least was set to NULL/)
  assert.equal(refuses(row({ least: null }), same), null)
})
