import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSaltedPassword, saltedParts, saltedPassword } from './salted-password.ts'

test('a password is verified by its salted form alone; another one is not', async () => {
  for (const password of ['', 'secret', 'ÄÖ🙂', 'x'.repeat(300)]) {
    const salted = await saltedPassword(password)
    assert.equal(salted.length, 70)
    assert.ok(await isSaltedPassword(Buffer.from(password), salted))
    assert.ok(!(await isSaltedPassword(Buffer.from(`${password}x`), salted)))
  }
  assert.notDeepEqual(await saltedPassword('secret'), await saltedPassword('secret'))
})

test('what is none is refused, and so are rounds that would take minutes', async () => {
  for (const text of [
    '',
    '*14E65567ABDB5135D0CFD9A70B3032C179A49EE7',
    '$A$005$short',
    `$A$000$${'s'.repeat(20)}${'d'.repeat(43)}`,
    `$A$FFF$${'s'.repeat(20)}${'d'.repeat(43)}`,
  ]) {
    assert.equal(saltedParts(Buffer.from(text)), null, text)
    assert.equal(await isSaltedPassword(Buffer.from('secret'), Buffer.from(text)), false)
  }
})

test('the salted form that MySQL 9.7 has made', async () => {
  const salted = Buffer.from(
    '244124303041244E1B7C603C78425A7A74357D084E7C35361B3A7977636D4A2F4C696132706F515858694D3675733642544C382F3638684D457870746D383967764549535444',
    'hex',
  )
  assert.ok(await isSaltedPassword(Buffer.from('sécret'), salted))
  assert.ok(!(await isSaltedPassword(Buffer.from('secret'), salted)))
})
