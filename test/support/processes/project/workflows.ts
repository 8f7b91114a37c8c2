import { proxyAgents } from 'cadenza/workflow';
import type * as agents from './agents.js';

const { forecaster } = proxyAgents<typeof agents>();

export async function warmest(cities: string[]): Promise<number> {
  const forecasts = await Promise.all(cities.map(async (city) => await forecaster({ city })));
  return Math.max(...forecasts.map(({ celsius }) => celsius));
}
