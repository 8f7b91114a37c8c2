/** The agent of worker processes that die after an effect, or freeze before it. The ledger is the world outside. */
import { z } from 'zod';
import { defineAgent, defineTool, NotDone } from 'cadenza';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);

const transfer = defineTool({
  name: 'transfer',
  description: 'Transfers money.',
  input: z.object({ how: z.enum(['dies', 'freezes']) }),
  effect: 'once',
  whenUncertain: 'ask',
  timeout: '1 second',
  execute({ how }, { idempotencyKey: key, run, deadline }) {
    const entry = { workflowId: run.workflowId, key };
    if (how === 'freezes' && ledger.held) {
      ledger.write({ ...entry, tool: 'freezes' });
      process.kill(process.pid, 'SIGSTOP');
      // The clock of the machine ran on.
      ledger.write({ ...entry, tool: 'woke' });
    }
    if (Date.now() >= deadline.getTime()) throw new NotDone('its time was up');
    ledger.write({ ...entry, tool: 'transfer' });
    if (how === 'dies' && ledger.held) process.kill(process.pid, 'SIGKILL');
    return 'transferred';
  },
});

export const teller = defineAgent({ name: 'teller', instructions: 'Transfer.', tools: [transfer] });
