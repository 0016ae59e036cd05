import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LiveSteps } from './live-steps.ts'

test('promise 7: the newest step of a switch is shown with what ends it; steps that pass meanwhile are not waited for', async () => {
  const shown: (string | null)[] = []
  let release: () => void = () => undefined
  const live = new LiveSteps({
    async waiting(what, ends) {
      shown.push(what === null ? null : `${what}: ${ends}`)
      if (shown.length === 1) await new Promise<void>((resolve) => (release = resolve))
    },
  })
  live.show('preflight')
  live.show('drain')
  live.show('close the old side')
  release()
  await live.end()
  assert.deepEqual(shown, [
    'answers of the servers (step "preflight"; nothing has happened yet): with the first refusal or when all is found fit',
    null,
  ])
  live.show('drain')
  await new Promise((resolve) => setImmediate(resolve))
  live.show('open the new side')
  await new Promise((resolve) => setImmediate(resolve))
  await live.end()
  assert.match(shown.at(-2) ?? '', /decided: it only goes forward/)
})

test('a step that cannot be shown holds nothing up', async () => {
  let asked = 0
  const live = new LiveSteps({
    waiting: (what) => {
      asked++
      return what === null ? Promise.resolve() : Promise.reject(new Error('the topology is away'))
    },
  })
  live.show('drain')
  await live.end()
  assert.equal(asked, 2)
})
