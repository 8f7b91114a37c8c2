import type { CancellationScope } from '@temporalio/workflow';
import type { Decision, Features, Limits, RunStatus, TreePlace } from '../../protocol/protocol.ts';
import type { Spent } from '../../protocol/run-state.ts';
import type { Concurrency } from '../../protocol/tenancy.ts';
import type { Approvals } from '../people/approvals.ts';
import type { Background } from './background.ts';
import type { Control } from '../people/control.ts';
import type { Deadline } from '../limits/deadline.ts';
import { describeDecision, showDetails } from '../observe/details.ts';
import type { Inbox } from '../people/inbox.ts';
import type { ConversationMode } from '../people/conversation-mode.ts';
import type { Leases } from '../limits/leases.ts';
import { totals } from '../limits/limits.ts';
import type { Rules } from '../people/rules.ts';
import type { Visibility } from '../observe/visibility.ts';

/** What a run keeps between turns: references and numbers, never content. */
export interface Run {
  readonly agent: string;
  /** Goes before the agent's own. */
  readonly model: string | undefined;
  /** Of whoever started the run. */
  readonly ownLimits: Limits;
  /** Of the parent's limits, the part that the run may use. */
  readonly lease: Limits;
  /** The run's own, below them the author's, and none above the lease. */
  limits: Limits;
  /** Of this run and of those below it. */
  readonly spent: Spent;
  /** The agents that took part, in the order in which they began. */
  readonly agents: string[];
  readonly tree: TreePlace | undefined;
  readonly tenant: string | undefined;
  readonly concurrency: Concurrency | undefined;
  readonly deadline: Deadline;
  readonly control: Control;
  readonly approvals: Approvals;
  readonly rules: Rules;
  readonly inbox: Inbox;
  readonly leases: Leases;
  readonly background: Background;
  readonly visibility: Visibility;
  /** What cancels the delegations that the run waits for. */
  readonly delegations: Set<CancellationScope>;
  /** Where the run stays open and answers each message. */
  readonly conversation: ConversationMode | undefined;
  /** What the workers do for it beyond its turns, as its last new definition came with. */
  features: Features;
  /** Its archive is being seen to. */
  archiving?: true;
  /** Turns of this run alone. */
  turn: number;
  status: RunStatus;
  /** The outdated build that the run is pinned to, and goes from when it can. */
  leaving?: string;
  /** The one that the chain has left before, or tried to. */
  readonly left: string | undefined;
  /** The conversation is too large to continue as new, and cannot be made shorter. */
  stays?: true;
}

/** Shows what a reply decided. */
export function note(run: Run, decision: Decision): void {
  run.status = { ...run.status, doing: 'deciding', decision: describeDecision(decision) };
  showDetails(run.status, totals(run.spent));
}
