import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { topicConformance } from '../conformance.ts'

topicConformance('embedded log', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-topic-'))
  return {
    url: (name) => `log://${dir}/${name}`,
    close: async () => rmSync(dir, { recursive: true }),
  }
})
