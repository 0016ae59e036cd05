/** What a write's warnings mean (rule of warnings.ts): ENUM's index 0 passes, anything else is a changed value. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changingWarning } from './warnings.ts'

const truncated = (column: string, row: number) => ({
  level: 'Warning',
  code: 1265,
  message: `Data truncated for column '${column}' at row ${row}`,
})
const statement = "REPLACE INTO `s (`.`t` (`a`,`e,``x`,`b`) VALUES (1,0,'),(\\'0'),(2,7,'x'),(3,0,_ascii'y')"

test('1265 of a literal 0 is ENUM index 0: nothing was changed', () => {
  assert.equal(changingWarning([truncated('e,`x', 1), truncated('e,`x', 3)], statement), null)
  assert.equal(changingWarning([{ level: 'Note', code: 1592, message: 'x' }], statement), null)
})

test('rows that are merged: what follows them is none of them', () => {
  for (const alias of ['', ' AS new_row']) {
    const merged = `INSERT INTO \`t\` (\`a\`,\`e\`) VALUES (1,7),(2,0)${alias} ON DUPLICATE KEY UPDATE \`e\`=IF(1,0,0)`
    assert.equal(changingWarning([truncated('e', 2)], merged), null)
    assert.equal(changingWarning([truncated('e', 1)], merged)?.code, 1265)
  }
})

test('1265 of any other value, and any other warning, is a changed value', () => {
  assert.equal(changingWarning([truncated('e,`x', 1), truncated('e,`x', 2)], statement)?.message, truncated('e,`x', 2).message)
  assert.equal(changingWarning([truncated('b', 1)], statement)?.code, 1265)
  assert.equal(changingWarning([truncated('nobody', 1)], statement)?.code, 1265)
  assert.equal(changingWarning([{ level: 'Warning', code: 1264, message: 'Out of range' }], statement)?.code, 1264)
})

test('where JSON_TABLE makes the rows of warnings others: as many as there are zeros', () => {
  const field =
    "JSON_REPLACE(_utf8mb4'[1]',_utf8mb4'$[0]',(SELECT v FROM JSON_TABLE(_utf8mb4'[5]',_utf8mb4'$[*]' COLUMNS(v BIT(8) PATH _utf8mb4'$' ERROR ON ERROR)) t))"
  const typed = `REPLACE INTO \`t\` (\`a\`,\`e\`,\`j\`) VALUES (1,0,${field}),(2,7,${field}),(3,0,NULL)`
  assert.equal(changingWarning([truncated('e', 4), truncated('e', 4)], typed), null)
  assert.equal(changingWarning([truncated('e', 1)], typed)?.code, 1265)
  assert.equal(changingWarning([truncated('e', 1), truncated('e', 2), truncated('e', 3)], typed)?.code, 1265)
  assert.equal(changingWarning([truncated('a', 1)], typed)?.code, 1265)
  assert.equal(changingWarning([truncated('nobody', 1)], typed)?.code, 1265)
})
