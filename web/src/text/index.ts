// The one door to the words of both faces: another language is another directory
// beside en, chosen here.
export { locale, text } from './en';
