// What was found in a file, in words. Names come from the file itself: they are shown as text, and cut short.
import {t} from '../words.js';

const MOST_CHARACTERS = 200;
const SYNTHETIC = /trainedAlgorithmicMedia/i;

/** Return the verdict, what the verdict cannot say, and rows of a term and its sentences. found: the gateway's answer. */
export function findings(found) {
  const mark = found.credentials?.state === 'invalid' ? 'invalid' : found.mark;
  return {
    mark,
    verdict: t(`verify_${mark}`),
    limits: t(`verify_limits_${mark}`),
    rows: [
      [t('verify_credentials'), credentials(found.credentials)],
      [t('verify_watermark'), [watermark(found)]],
      [t('verify_consent'), consent(found)],
    ],
  };
}

function credentials(read) {
  if (!read) return [t('credentials_none')];
  const signer = short([read.signer, read.self_made ? '' : read.organisation].filter(Boolean).join(', '));
  const state = read.state === 'valid' && read.self_made ? 'self_made' : read.state;
  const said = [t(`credentials_${state}`, {signer: signer || t('credentials_no_name')})];
  if (read.in_sidecar) said.push(t('credentials_in_sidecar'));
  if (!['trusted', 'valid'].includes(read.state)) return said; // the rest cannot be relied on
  const {actor, actor_version} = read.states ?? {};
  const synthetic = read.digital_source_types.some(type => SYNTHETIC.test(type));
  said.push(t(synthetic ? 'credentials_say_synthetic' : 'credentials_say_nothing'));
  if (actor) said.push(t(actor_version ? 'credentials_actor' : 'credentials_actor_alone', {actor: short(actor), version: short(actor_version)}));
  for (const {title, has_credentials} of read.ingredients.slice(0, 5)) {
    said.push(t(has_credentials ? 'credentials_made_from_signed' : 'credentials_made_from', {title: short(title)}));
  }
  if (read.software) said.push(t('credentials_software', {software: short(read.software)}));
  return said;
}

function watermark({watermark: read, server, searched_pictures: n}) {
  if (!read) return n ? t('watermark_none', {n}) : t('watermark_no_pictures');
  if (!read.legible) return t('watermark_weak');
  const names = {key: read.server_key, session: read.session};
  if (server === 'unknown' && read.server_key === '0000') return t('watermark_no_server', names);
  return t(`watermark_${server}`, names);
}

function consent({consent: read, server_asked: asked}) {
  if (!read.actor) return [t('consent_no_actor')];
  if (!asked) return [t('consent_not_asked')];
  const names = {actor: short(read.actor), version: read.actor_version};
  if (!read.uses) return [t('consent_no_record', names)];
  const said = [t(read.allowed === 'no' ? 'consent_holds_no_more' : 'consent_holds', names)];
  if (read.allowed !== 'no') {
    const uses = read.uses.map(use => t(`use_${use}`)).join(', ');
    said.push(uses ? t('consent_uses', {uses}) : t('consent_no_uses'));
    if (read.until) said.push(t('consent_until', {date: read.until}));
  }
  if (read.same_record === false) said.push(t('consent_other_record'));
  return said;
}

const short = text => {
  const whole = String(text ?? '');
  return whole.length > MOST_CHARACTERS ? `${whole.slice(0, MOST_CHARACTERS)}…` : whole;
};
