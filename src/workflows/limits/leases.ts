import { condition, getExternalWorkflowHandle, setHandler, workflowInfo } from '@temporalio/workflow';
import { positionOf, type Limits } from '../../protocol/protocol.ts';
import type { Spent } from '../../protocol/run-state.ts';
import { used, type LeasedLimit } from './limits.ts';
import { askLeaseSignal, leaseSignal, type LeaseRequest } from '../messages.ts';

/** The least that is worth lending. */
const least: Readonly<Record<LeasedLimit, number>> = { turns: 1, tokens: 1, cost: 1e-9 };
/** How long a parent may take to answer: one of an older build never does. */
const patienceMs = 60_000;

/** What of a run its leases depend on. */
export interface LeasedRun {
  readonly lease: Limits;
  limits: Limits;
  readonly spent: Spent;
}

/**
 * The limits of a tree, lent from run to run: a run below gets a share when it begins, asks for more when that is spent, and what it did
 * not use comes back when it ends. What is lent and what is spent together never exceed a limit.
 */
export class Leases {
  private readonly of: () => LeasedRun;
  private readonly lent = new Map<string, Limits>();
  /** Loans to runs that go on while this one asks its model. */
  private readonly beside = new Map<string, Limits>();
  private readonly answers = new Map<number, number>();
  private requests = 0;

  constructor(of: () => LeasedRun) {
    this.of = of;
  }

  private get run(): LeasedRun {
    return this.of();
  }

  /** Takes requests of the runs below, and answers of the run above. */
  open(): void {
    setHandler(askLeaseSignal, async (request) => {
      if (typeof request?.workflowId !== 'string' || !(request.kind in least)) return;
      await this.answer(request);
    });
    setHandler(leaseSignal, (answer) => {
      if (typeof answer?.request === 'number') this.answers.set(answer.request, answer.amount);
    });
  }

  /** `beside`: the child runs while this run goes on, and what it was lent is not there for this one. */
  lend(child: string, lease: Limits, beside = false): void {
    const loan = { ...lease };
    this.lent.set(child, loan);
    if (beside) this.beside.set(child, loan);
  }

  settle(child: string): void {
    this.lent.delete(child);
    this.beside.delete(child);
  }

  /** What this run has spent, and what those beside it may. */
  get committed(): Spent {
    const { spent } = this.run;
    if (this.beside.size === 0) return spent;
    const loans = [...this.beside.values()];
    const sum = (kind: LeasedLimit) => loans.reduce((all, loan) => all + (loan[kind] ?? 0), 0);
    return {
      ...spent,
      turns: spent.turns + sum('turns'),
      cost: spent.cost + sum('cost'),
      usage: { ...spent.usage, input: spent.usage.input + sum('tokens') },
    };
  }

  /** What of a limit is neither spent nor lent; `undefined` where there is no such limit. */
  left(kind: LeasedLimit): number | undefined {
    const limit = this.run.limits[kind];
    if (limit === undefined) return undefined;
    let left = limit - used(this.run.spent, kind);
    for (const lease of this.lent.values()) left -= lease[kind] ?? 0;
    return left;
  }

  /** Asks the run above for more of what it has lent; whether it gave any. */
  async more(kind: LeasedLimit): Promise<boolean> {
    const { parent } = workflowInfo();
    const { lease, limits } = this.run;
    const leased = lease[kind];
    // A limit of the run's own is nobody else's to raise.
    if (!parent || leased === undefined || (limits[kind] ?? leased) < leased) return false;
    this.requests += 1;
    const request = this.requests;
    try {
      const { workflowId } = workflowInfo();
      await getExternalWorkflowHandle(parent.workflowId).signal(askLeaseSignal, {
        workflowId,
        kind,
        request,
      });
      await condition(() => this.answers.has(request), patienceMs, {
        summary: 'the run above is asked for more',
      });
    } catch {
      // A parent that has ended lends nothing.
    }
    const amount = this.answers.get(request) ?? 0;
    this.answers.delete(request);
    if (!(amount > 0)) return false;
    lease[kind] = leased + amount;
    this.run.limits = { ...this.run.limits, [kind]: leased + amount };
    return true;
  }

  private async answer({ workflowId, kind, request }: LeaseRequest): Promise<void> {
    const child = positionOf(workflowId);
    let amount = 0;
    if (this.lent.has(child)) {
      amount = this.half(kind);
      if (amount < least[kind] && (await this.more(kind))) amount = Math.max(this.half(kind), least[kind]);
      const lease = this.lent.get(child);
      if (lease) lease[kind] = (lease[kind] ?? 0) + amount;
    }
    try {
      await getExternalWorkflowHandle(workflowId).signal(leaseSignal, { request, amount });
    } catch {
      // It has ended meanwhile.
    }
  }

  /** Half of what is left: others may ask too, and this run has to go on afterwards. */
  private half(kind: LeasedLimit): number {
    const left = this.left(kind) ?? 0;
    if (left < least[kind]) return 0;
    return kind === 'cost' ? left / 2 : Math.ceil(left / 2);
  }
}
