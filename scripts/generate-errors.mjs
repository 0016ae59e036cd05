// Writes docs/errors.md from the error registry (needs Node 24: it loads src/*/errors.ts).   --check compares only.
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { generatedPage } from './generated-page.mjs'

const projectDir = dirname(dirname(fileURLToPath(import.meta.url)))

for (const room of readdirSync(join(projectDir, 'src')).sort()) {
  const file = join(projectDir, 'src', room, 'errors.ts')
  if (room !== 'base' && existsSync(file)) await import(pathToFileURL(file).href)
}
const { allErrors } = await import(pathToFileURL(join(projectDir, 'src', 'base', 'errors.ts')).href)
generatedPage('errors.md', render(allErrors()), 'npm run errors')

function render(errors) {
  const classes = {
    user: 'the request is wrong or refused: repeating it unchanged gives the same answer',
    transient: 'nothing was done: repeating it can help',
    unknown: 'it may or may not have been done: read the outcome before anything else',
    fatal: 'what it names stops until somebody acts',
  }
  const lines = [
    '# Errors',
    '',
    '<!-- Generated from src/*/errors.ts by  npm run errors  and checked by  npm test . Edit there. -->',
    '',
    'Every error has a code, says what happened with the names and values at hand, why, and what to do. `{…}` stands for those values.',
    'Its class says what repeating it does:',
    '',
    ...Object.entries(classes).map(([name, meaning]) => `- **${name}**: ${meaning}`),
  ]
  let room = ''
  for (const error of errors) {
    if (error.room !== room) {
      room = error.room
      lines.push('', `## ${room}`)
    }
    const { what, why, fix } = error.spec
    lines.push(
      '',
      `### ${error.code}`,
      '',
      `*${error.spec.class}* · ${cell(what)}`,
      '',
      `- Why: ${cell(why)}`,
      `- What to do: ${cell(fix)}`,
    )
  }
  return `${lines.join('\n')}\n`
}

/** Places like `<name>` would be taken for HTML. */
function cell(text) {
  return String(text)
    .replace(/\s*\n\s*/g, ' ')
    .replace(/</g, '&lt;')
}
