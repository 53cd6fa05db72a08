// The page: puts its parts together, and remembers what the visitor chose.
import {ask, read, visit} from './api.js';
import {showCards} from './cards.js';
import {CameraDance} from './live/camera-dance.js';
import {cameras} from './live/camera.js';
import {Dances} from './dances/dances.js';
import {Recorder} from './dances/recorder.js';
import {Making} from './making/making.js';
import {Verifying} from './verifying/verifying.js';
import {Numbers} from './numbers.js';
import {again, connection, drawnAt, guide as guideBy, over, way, why} from './captions.js';
import {choice} from './choices.js';
import {signIn, signOut} from './sign-in.js';
import {backgroundOf} from './background.js';
import {Stage} from './stage.js';
import {current, fill, number, sentence, speak, t} from './words.js';

const $ = id => document.getElementById(id);
const page = {
  config: null, tables: null, actors: [], actor: null, dance: null, dances: null, stage: null, recorder: null, verifying: null,
  background: null, // a picture's bytes
  decided: null, // where Automatic found that the pose is found best, and why
};
const numbers = new Numbers({rates: $('rates'), stages: $('stages'), rate: $('rate')});
const SAID_MS = 6000; // how long the end of a recording is told
let last = {key: 'loading', values: {}, bad: false}; // what the status says, to say it again in another language

/** Say something in the status line. */
function say(key, values = {}, bad = false) {
  last = {key, values, bad};
  $('status').textContent = key.startsWith('why_') ? sentence(key.slice(4), values.text) : t(key, values);
  $('status').classList.toggle('wrong', bad);
}

const complain = error => say(`why_${error.word ?? 'page_failed'}`, {text: error.text ?? error.message}, true);

async function begin() {
  $('language').value = current();
  fill(document);
  say('loading');
  page.config = await read('api/config');
  await visit();
  $('sign-out').hidden = !page.config.needs_token;
  if (page.config.needs_token) await signIn(() => read('api/actors'));
  page.tables = await read('api/skeleton');
  page.stage = new Stage({source: $('source'), skeleton: $('skeleton'), actor: $('actor')}, page.tables);
  page.dances = new Dances({section: $('mine'), list: $('dances'), kept: $('kept')}, page.stage, page.tables, {error: complain, follow: followDance, connection: (state, word) => { if (!page.dance) connection(state, word); }});
  await loadActors();
  restoreChoices();
  await offerSamples();
  await listCameras();
  $('page').hidden = false;
  say(page.actor ? 'ready' : 'no_actor', {}, !page.actor);
  offerMaking();
  offerVerifying();
  await showChosen();
  await page.dances.begin();
  document.body.dataset.ready = 'true';
}

async function offerSamples() {
  const samples = await page.dances.samples();
  $('samples').hidden = samples.length === 0;
  $('samples').querySelectorAll('button').forEach(each => each.remove());
  for (const {id} of samples) {
    const button = document.createElement('button');
    Object.assign(button, {type: 'button', value: id, textContent: t(`sample_${id}`)});
    button.addEventListener('click', () => danceClip(id));
    $('samples').append(button);
  }
}

function offerMaking() {
  const offered = page.config.makes_actors;
  $('make').hidden = !offered;
  if (!offered) return;
  const making = new Making($('making'), $('video'), page.tables, () => $('camera').value, loadActors);
  $('make').addEventListener('click', async () => {
    await page.dance?.stop();
    making.open().catch(complain);
  });
}

function offerVerifying() {
  const names = ['choose', 'cancel', 'chooser', 'state', 'bar', 'verdict', 'rows', 'limits'];
  const parts = Object.fromEntries(names.map(name => [name, $(`verify-${name}`)]));
  page.verifying = new Verifying($('verify'), parts, page.config.verify_bytes);
  $('to-verify').hidden = false;
  $('to-verify').addEventListener('click', event => { event.preventDefault(); page.verifying.open(); });
}

// On a small screen the pictures are below: bring them into view.
function toStage() {
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  $('stage').scrollIntoView({block: 'nearest', behavior: still ? 'auto' : 'smooth'});
}

// Dance a file or a sample dance on the server.
async function danceClip(source) {
  if (!page.actor || !source) return;
  if (source instanceof File && !/^video\/|\.(mp4|m4v|mov|webm|mkv|avi)$/i.test(`${source.type}\n${source.name}`)) {
    complain({word: 'not_a_video'});
    return;
  }
  const begun = async () => { // only now: a refused clip leaves what is danced alone
    await page.dance?.stop();
    page.stage.clear();
    over();
    toStage();
  };
  const kind = $('background').value, picture = kind === 'picture' ? page.background : null;
  const background = kind === 'picture' ? {kind: picture ? 'picture' : 'own', bytes: picture?.length} : {kind};
  try {
    await page.dances.dance(source, {actor: page.actor.actor, version: 0, mirror: $('mirror').checked, background, picture}, begun);
  } catch (error) { complain(error); }
}

function nameSource(key) {
  $('source-name').dataset.t = key;
  $('source-name').textContent = t(key);
  $('source').dataset.tLabel = key;
  $('source').setAttribute('aria-label', t(key));
  mirror();
}

// The stage shows a dance of the server, or no longer does.
function followDance(dance, ended) {
  if (page.dance) { page.dances.unfollow(); return; } // the stage belongs to the camera
  nameSource('clip_panel');
  guide(null, 0);
  if (dance) {
    say(dance.state === 'dancing' ? 'dancing' : 'preparing_clip', {actor: dance.actor});
    why(dance.state === 'dancing' ? null : 'clip_prepared');
  } else if (ended?.state === 'failed') {
    complain({word: ended.word, text: ended.text});
    why(ended.word, ended.text);
  } else if (ended) {
    say(ended.state === 'done' ? 'clip_done' : 'stopped');
    why(null);
  }
}

async function record(ending = 'recorded') {
  const button = $('record');
  button.disabled = true;
  try {
    if (page.recorder) {
      await endRecording(ending);
    } else {
      const recorder = new Recorder(page.dances);
      await recorder.start(page.actor.actor, $('with-sound').checked);
      page.recorder = recorder;
      page.dance?.session?.say({record: recorder.id});
    }
  } catch (error) { complain(error); }
  button.disabled = !page.dance;
  showRecording();
}

function showRecording() {
  $('record').setAttribute('aria-pressed', String(Boolean(page.recorder)));
  $('record').textContent = t(page.recorder ? 'record_stop' : 'record');
}

async function endRecording(ending) {
  const recorder = page.recorder;
  page.recorder = null;
  page.dance?.session?.say({record: null});
  await recorder.stop();
  say(ending);
  setTimeout(() => { if (last.key === ending && page.dance) say('dancing', {actor: page.actor.actor}); }, SAID_MS);
}

async function loadActors() {
  page.actors = (await read('api/actors')).actors;
  const usable = page.actors.filter(each => !each.unavailable);
  page.actor = usable.find(each => each.actor === choice('actor').value) ?? usable[0] ?? null;
  showCards($('actors'), page.actors, page.actor?.actor, choose);
  $('no-actors').hidden = Boolean(page.actor);
  $('no-actors').textContent = t('no_actor');
  offerSizes();
}

async function choose(actor) {
  page.actor = actor;
  choice('actor').value = actor.actor;
  offerSizes();
  if (page.dance) await restart(); else await showChosen();
}

// Before a dance, the actor's panel shows who would dance.
async function showChosen(error = null) {
  why(error?.word ?? 'before', error?.text);
  if (!error) guide('before', 0);
  if (!page.actor?.preview) return;
  const address = `api/actors/${encodeURIComponent(page.actor.actor)}/${page.actor.version}/preview?still=1`;
  try {
    page.stage.showActor(await createImageBitmap(await (await ask(address)).blob()));
  } catch (error) { console.warn('the preview cannot be shown', error); }
}

function offerSizes() {
  const sizes = page.actor ? [page.actor.size, ...page.actor.smaller_sizes].filter(Boolean) : [];
  const options = sizes.map(([width, height]) => new Option(`${width} × ${height}`, String(height)));
  const before = $('size').value;
  $('size').replaceChildren(new Option(t('size_auto'), ''), ...options);
  if (options.some(each => each.value === before)) $('size').value = before;
  $('background').disabled = !page.actor?.wardrobe; // without one, an actor cannot leave its own place
  if ($('background').disabled) $('background').value = 'own';
}

async function listCameras() {
  const found = await cameras().catch(() => []), chosen = $('camera').value;
  const options = found.map(({id, label}, index) => new Option(label || t('camera_n', {n: number(index + 1)}), id));
  $('camera').replaceChildren(new Option(t('camera_any'), ''), ...options);
  $('camera').value = page.dance?.cameraId || (found.some(each => each.id === chosen) ? chosen : '');
}

function restoreChoices() {
  for (const [id, name] of [['mirror', 'mirror'], ['with-sound', 'with_sound']]) {
    $(id).checked = choice(name).value === 'true';
  }
  $('way').value = choice('way').value || 'auto';
  mirror();
}

// The server mirrors clips itself, so the stage shows them as they come.
function mirror() {
  $('stage').classList.toggle('mirrored', $('mirror').checked && $('source-name').dataset.t === 'you');
}

function background() {
  const kind = $('background').value;
  if (kind === 'green') return {message: {colour: [0, 177, 64]}, bytes: null};
  if (kind === 'picture' && page.background) return {message: {picture: true}, bytes: page.background};
  return {message: null, bytes: null};
}

async function startCamera() {
  await page.dance?.stop();
  page.dances.unfollow();
  if (!page.actor) { say('no_actor', {}, true); return; }
  $('start-camera').disabled = true; // at once: a second click would open a second camera
  numbers.reset();
  page.stage.clear();
  await showChosen();
  nameSource('you');
  why('before');
  guide('before', 0);
  toStage();
  const settings = {
    actor: page.actor.actor, version: 0, ...wantedWay(), camera: $('camera').value,
    size_px: $('size').value ? Number($('size').value) : null, background: background(),
  };
  const dance = page.dance = new CameraDance({video: $('video'), stage: page.stage, tables: page.tables}, settings, {
    state: (key, values) => {
      if (dance !== page.dance) return;
      if (key !== 'dancing' && !page.recorder) $('record').disabled = true; // there is nothing to record yet
      say(key, {actor: page.actor.actor, ...values});
    },
    guide,
    why,
    connection: connected,
    way: tellWay,
    accepted: () => {
      if (page.recorder) dance.session.say({record: page.recorder.id}); // the session was lost while recording
    },
    answer: answer => {
      numbers.add(answer);
      const rungs = dance.session?.accepted?.rungs ?? [], size = rungs[answer.head.rung];
      drawnAt(size && String(size) !== String(rungs[0]) ? size : null); // a rung may reduce the pose's detail only
      if (!answer.shown) return;
      $('record').disabled = false;
      page.recorder?.pictured();
    },
    recording: word => { if (page.recorder) record(word === 'full' ? 'recording_full' : 'recording_lost'); },
    end: error => ended(dance, error),
  });
  $('stop').disabled = false;
  $('stop').focus();
  await dance.start();
  await listCameras();
}

async function restart() {
  await page.dance?.stop();
  await startCamera();
}

function ended(dance, error) {
  if (dance !== page.dance) return;
  page.dance = null;
  if (page.recorder) record();
  $('start-camera').disabled = false;
  if (document.activeElement === $('stop')) $('start-camera').focus();
  for (const id of ['stop', 'record']) $(id).disabled = true;
  over();
  if (error) { complain(error); showChosen(error); } else { say('stopped'); showChosen(); }
}

const guide = (word, progress) => guideBy(word, progress, text => say('guiding_now', {text}));

// The server could not be reached: everything goes on by itself, but nothing new comes.
function connected(state, word) {
  connection(state, word);
  if (state === 'lost' && last.key !== 'connection_lost') {
    say('connection_lost', {}, true);
    why('lost');
  } else if (state === 'open' && last.key === 'connection_lost') {
    say('dancing', {actor: page.actor.actor});
    why(null);
  }
}

function tellWay(name, reason) {
  if (['fast_enough', 'faster', 'no_faster'].includes(reason)) page.decided = {way: name, reason};
  const here = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname) && page.config.server_is_here;
  way(name, reason, here);
}

// Automatic decides once; after that, only the visitor does.
function wantedWay() {
  const wanted = $('way').value;
  return wanted === 'auto' && page.decided ? page.decided : {way: wanted, reason: wanted === 'auto' ? '' : 'chosen'};
}

function listen() {
  $('language').addEventListener('change', ({target}) => {
    speak(target.value);
    say(last.key, last.values, last.bad);
    showCards($('actors'), page.actors, page.actor?.actor, choose);
    offerSizes();
    offerSamples();
    listCameras();
    page.dances.show();
    page.verifying?.show();
    again();
    showRecording();
  });
  $('start-camera').addEventListener('click', startCamera);
  $('sign-out').addEventListener('click', async () => { await signOut().catch(complain); location.reload(); });
  $('record').addEventListener('click', () => record());
  $('choose-clip').addEventListener('click', () => $('clip').click());
  $('clip').addEventListener('change', ({target}) => { danceClip(target.files[0]); target.value = ''; });
  const toVerify = event => $('verify').contains(event.target);
  const mark = place => { for (const each of ['drop', 'verify-drop']) $(each).classList.toggle('over', each === place); };
  for (const kind of ['dragenter', 'dragover']) addEventListener(kind, event => { event.preventDefault(); mark(toVerify(event) ? 'verify-drop' : 'drop'); });
  addEventListener('dragleave', () => mark(null));
  addEventListener('drop', event => {
    event.preventDefault();
    mark(null);
    const files = [...event.dataTransfer.files];
    if (toVerify(event)) page.verifying?.check(files); else danceClip(files[0]);
  });
  $('stop').addEventListener('click', () => page.dance?.stop());
  $('mirror').addEventListener('change', ({target}) => { choice('mirror').value = String(target.checked); mirror(); });
  $('with-sound').addEventListener('change', ({target}) => { choice('with_sound').value = String(target.checked); });
  $('way').addEventListener('change', ({target}) => {
    choice('way').value = target.value;
    if (page.dance) restart();
  });
  $('switch-way').addEventListener('click', ({target}) => {
    $('way').value = choice('way').value = target.dataset.to;
    page.dance?.switchWay(target.dataset.to);
  });
  for (const id of ['camera', 'size']) $(id).addEventListener('change', () => { if (page.dance) restart(); });
  $('background').addEventListener('change', ({target}) => {
    if (target.value === 'picture') { $('background-file').click(); return; }
    if (page.dance) restart();
  });
  $('background-file').addEventListener('change', async ({target}) => {
    page.background = null;
    try {
      if (target.files[0]) page.background = await backgroundOf(target.files[0]);
    } catch (error) { complain(error); }
    target.value = ''; // so that the same file can be chosen again
    if (!page.background) $('background').value = 'own';
    if (page.dance) restart();
  });
  $('background-file').addEventListener('cancel', () => { if (!page.background) $('background').value = 'own'; });
  $('fullscreen').hidden = !document.fullscreenEnabled; // phones of some makers have none
  $('fullscreen').addEventListener('click', () => {
    if (document.fullscreenElement) document.exitFullscreen(); else $('stage').requestFullscreen().catch(() => {});
  });
  navigator.mediaDevices?.addEventListener?.('devicechange', listCameras);
  addEventListener('pagehide', () => page.dance?.stop());
}

// What a visitor sees and measures, for the console and for tests.
window.dance = {page, facts: () => numbers.facts()};

listen();
begin().catch(complain);
