import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { HeldMemory } from './memory.ts'

test('promise 8: a statement is refused above its own bound, and above that of all together; what ended makes room', () => {
  const memory = new HeldMemory(100, 150)
  const [a, b] = [memory.open(), memory.open()]
  a.add(90)
  assert.throws(
    () => a.add(20),
    (error) => isSwError(error, 'SW-GATE-205'),
  )
  a.close()
  assert.equal(memory.bytes, 0)
  const c = memory.open()
  b.add(90)
  assert.throws(
    () => c.add(70),
    (error) => isSwError(error, 'SW-GATE-044'),
  )
  c.close()
  b.add(5)
  b.close()
  b.close()
  assert.equal(memory.bytes, 0)
})
