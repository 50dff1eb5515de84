-- AlterTable
ALTER TABLE "app"."course" ADD COLUMN     "slug" TEXT;

UPDATE "app"."course" SET "slug" = lower("title");

-- AlterTable
ALTER TABLE "app"."course" ALTER COLUMN "slug" SET NOT NULL;
