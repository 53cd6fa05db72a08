// Plays a finished dance: the clip, its skeleton and the actor in step, with one set of controls and the sound.
import {ask} from '../api.js';
import {drawSkeleton} from '../skeleton.js';
import {fill, t} from '../words.js';
import {title} from './list.js';

const APART_S = 0.06;
const EIGHTHS = 8;

/** Open the player for a dance that is done. tables: of GET api/skeleton. */
export async function play(dance, tables) {
  const dialog = document.getElementById('player');
  const address = `api/dances/${dance.id}`;
  const result = video(`${address}/result`, 'actor_panel');
  result.controls = true;
  const screens = element('div', 'screens'), heading = element('h2', '', title(dance));
  heading.id = 'player-heading';
  screens.append(result);
  if (dance.kind === 'dance') {
    const source = video(`${address}/source`, 'you'), canvas = document.createElement('canvas');
    source.muted = true;
    canvas.setAttribute('role', 'img');
    canvas.dataset.tLabel = 'skeleton';
    if (dance.mirror) source.style.transform = 'scaleX(-1)';
    screens.prepend(source, canvas);
    inStep(result, source);
    source.addEventListener('error', () => source.remove()); // the server reads more kinds of clips than a browser
    poses(address).then(table => follow(result, table, canvas, tables)).catch(() => canvas.remove());
  }
  const download = element('a', 'button', t('download')), close = element('button', '', t('close'));
  download.href = `${address}/result?download=1`;
  download.download = '';
  close.type = 'button';
  close.addEventListener('click', () => dialog.close());
  const bar = element('div', 'bar'), inside = element('div', 'player');
  bar.append(download, close);
  inside.append(heading, screens, bar);
  dialog.replaceChildren(inside);
  fill(dialog);
  dialog.onclose = () => { result.pause(); dialog.replaceChildren(); };
  if (!dialog.open) dialog.showModal(); // another dance may be playing, whose close event would come too late
  result.play().catch(() => { /* a browser may want a click first */ });
}

// Make `other` do what `leader` does.
function inStep(leader, other) {
  const together = () => { if (Math.abs(other.currentTime - leader.currentTime) > APART_S) other.currentTime = leader.currentTime; };
  leader.addEventListener('play', () => { together(); other.play().catch(() => {}); });
  leader.addEventListener('pause', () => { other.pause(); together(); });
  leader.addEventListener('seeking', together);
  leader.addEventListener('timeupdate', together);
  leader.addEventListener('ratechange', () => { other.playbackRate = leader.playbackRate; });
}

// The poses of all frames; the server's message is described in web/dances/routes.py.
async function poses(address) {
  const data = await (await ask(`${address}/poses`)).arrayBuffer(), view = new DataView(data);
  const length = view.getUint32(0, true), head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const {frames} = head, joint_count = head.joints, begins = 4 + length;
  const times = new Float32Array(data, begins, frames);
  const places = new Int16Array(data, begins + 4 * frames, 2 * frames * joint_count);
  const confidence = new Uint8Array(data, begins + 4 * frames + 4 * frames * joint_count, frames * joint_count);
  const at = seconds => {
    let low = 0, high = frames - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= seconds + 1e-3) low = middle; else high = middle - 1;
    }
    const found = new Float32Array(3 * joint_count);
    for (let joint = 0; joint < joint_count; joint++) {
      const index = low * joint_count + joint;
      found[3 * joint] = places[2 * index] / EIGHTHS;
      found[3 * joint + 1] = places[2 * index + 1] / EIGHTHS;
      found[3 * joint + 2] = confidence[index] / 255;
    }
    return found;
  };
  return {at, width: head.width_px, height: head.height_px};
}

function follow(leader, {at, width, height}, canvas, tables) {
  Object.assign(canvas, {width, height});
  const context = canvas.getContext('2d');
  const draw = (now, {mediaTime}) => {
    context.fillStyle = '#12151c';
    context.fillRect(0, 0, width, height);
    drawSkeleton(context, at(mediaTime), tables, width, height);
    if (leader.isConnected) leader.requestVideoFrameCallback(draw);
  };
  leader.requestVideoFrameCallback(draw);
}

function video(address, label) {
  const made = document.createElement('video');
  Object.assign(made, {src: address, playsInline: true, preload: 'auto'});
  made.dataset.tLabel = label;
  return made;
}

function element(name, className = '', text = '') {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
