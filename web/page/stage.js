// The three panels: source, skeleton and actor. They change together, so that they always show the same frame.
import {drawSkeleton} from './skeleton.js';

const GROUND = '#12151c';

export class Stage {
  #source;
  #skeleton;
  #actor;
  #tables;
  #showing = Promise.resolve();

  /** source, skeleton, actor: canvas elements. tables: of GET api/skeleton. */
  constructor({source, skeleton, actor}, tables) {
    [this.#source, this.#skeleton, this.#actor] = [source, skeleton, actor].map(each => each.getContext('2d'));
    this.#tables = tables;
    this.clear();
  }

  /** Show the camera's picture with the skeleton over it, before the dance begins. */
  showGuide(picture, joints, width, height) {
    this.#sized(this.#source, width, height);
    this.#source.drawImage(picture, 0, 0, width, height);
    drawSkeleton(this.#source, joints, this.#tables, width, height);
    this.#drawSkeleton(joints, width, height);
  }

  /**
   * Show one frame: its picture, its joints and the actor's JPEG. Frames are shown in the order of the calls.
   *
   * frame: {picture, joints, width, height}; the picture is an ImageBitmap, which is closed here. jpeg: Uint8Array, or
   * null if there is no picture of the actor; then the last one stays. Resolves to whether an actor's picture was shown.
   */
  show(frame, jpeg) {
    const decoding = jpeg ? createImageBitmap(new Blob([jpeg], {type: 'image/jpeg'})).catch(() => null) : null;
    this.#showing = this.#showing.catch(() => {}).then(async () => { // one frame that fails must not stop the others
      const drawn = await decoding;
      if (frame) {
        this.#sized(this.#source, frame.width, frame.height);
        this.#source.drawImage(frame.picture, 0, 0, frame.width, frame.height);
        this.#drawSkeleton(frame.joints, frame.width, frame.height);
        frame.picture.close?.();
      }
      if (!drawn) return false;
      this.showActor(drawn);
      drawn.close();
      return true;
    });
    return this.#showing;
  }

  /** Show a picture in the actor's panel. */
  showActor(picture) {
    this.#sized(this.#actor, picture.width || picture.naturalWidth, picture.height || picture.naturalHeight);
    this.#actor.drawImage(picture, 0, 0);
  }

  clear() {
    for (const context of [this.#source, this.#skeleton, this.#actor]) this.#blank(context);
  }

  #drawSkeleton(joints, width, height) {
    this.#sized(this.#skeleton, width, height);
    this.#blank(this.#skeleton);
    drawSkeleton(this.#skeleton, joints, this.#tables, width, height);
  }

  #sized({canvas}, width, height) {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }

  #blank(context) {
    context.fillStyle = GROUND;
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  }
}
