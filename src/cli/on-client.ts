import type { Command } from 'commander';
import type { CadenzaClient } from '../client/client.ts';

/** Makes a command's action of what is done with a client. */
export type On = <Rest extends unknown[]>(
  work: (client: CadenzaClient, ...rest: Rest) => Promise<number>,
) => (...rest: [...Rest, Command]) => Promise<void>;
