import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchesLike } from './like.ts'

test('LIKE: any run, one character, case, and what a backslash makes plain', () => {
  for (const [name, pattern, matches] of [
    ['shop', 'shop', true],
    ['shop', 'SHOP', true],
    ['shop', 'sho', false],
    ['shop', 's%', true],
    ['shop', '%p', true],
    ['shop', '%o', false],
    ['shop', 's__p', true],
    ['shop', 's_p', false],
    ['shop', '%', true],
    ['shop', '', false],
    ['', '%', true],
    ['', '_', false],
    ['abcabd', '%abd', true],
    ['aab', 'a%b', true],
    ['a_b', 'a\\_b', true],
    ['axb', 'a\\_b', false],
    ['a%b', 'a\\%b', true],
    ['a.b', 'a.b', true],
    ['axb', 'a.b', false],
    ['a\nb', 'a_b', true],
    ['ö', '_', true],
    ['🐑', '_', true],
    ['x\\', 'x\\', true],
  ] as const)
    assert.equal(matchesLike(name, pattern), matches, `${name} LIKE ${pattern}`)
})

test('LIKE: a pattern that would be gone back in over and over is done at once', () => {
  const startMs = performance.now()
  assert.equal(matchesLike('a'.repeat(64), `${'%_'.repeat(30)}x`), false)
  assert.equal(matchesLike('a'.repeat(64), `${'%a'.repeat(60)}%x`), false)
  assert.ok(performance.now() - startMs < 500, 'linear in the pattern')
})
